import "./about.css";
import { about } from "#edition/about";
import { Journey } from "./journey";

/** The lazily loaded page: a chunk, its style sheet, an image from that style sheet, a chunk imported by the chunk. */
export const About = () => (
  <article class="about" data-lazy-version={import.meta.env.VITE_VERSION}>
    <header class="about-head">
      <h1>{about.title}</h1>
      <p class="lead">{about.lead}</p>
    </header>
    <Journey steps={about.steps} />
    <section class="about-note">
      <img src={about.picture} alt={about.pictureText} width="640" height="400" />
      <div>
        <h2>{about.noteTitle}</h2>
        {about.note.map((paragraph) => (
          <p key={paragraph}>{paragraph}</p>
        ))}
      </div>
    </section>
  </article>
);
