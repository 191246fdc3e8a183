import { Demonstration } from "./demonstration";
import { lazyPage } from "./lazy";
import { useBag } from "./lib/bag";
import { followLink, usePath } from "./lib/router";
import { Home } from "#edition/home";
import { edition } from "#edition/edition";
import { Product } from "./pages/product";
import { useEffect, useRef } from "preact/hooks";

const About = lazyPage(() => import("./pages/about").then((module) => module.About));

function page(path: string) {
  if (path === "/") return { title: import.meta.env.VITE_TITLE, view: <Home /> };
  if (path === "/about") return { title: "How a letter travels · Second Post", view: <About /> };
  const slug = /^\/product\/([^/]+)$/.exec(path)?.[1];
  if (slug) return { title: "Second Post", view: <Product key={slug} slug={slug} /> };
  return { title: "Not found · Second Post", view: <NotFound /> };
}

export function App() {
  const path = usePath();
  const bag = useBag();
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const { title, view } = page(path);
  useEffect(() => {
    document.title = title;
    if (!first.current) main.current?.focus({ preventScroll: true });
    first.current = false;
  }, [path]);
  return (
    <div class="shell" onClick={followLink}>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <header class="masthead">
        <a class="brand" href="/" aria-label="Second Post, home">
          <img src="/logo.svg" alt="" width="40" height="40" />
          <span>Second Post</span>
        </a>
        <nav aria-label="Main">
          <a href="/" aria-current={path === "/" ? "page" : undefined}>
            Shop
          </a>
          <a href="/about" aria-current={path === "/about" ? "page" : undefined}>
            About
          </a>
          <a href="/rollout">Rollout</a>
          <span class="bag" aria-live="polite">
            Bag <b>{bag}</b>
          </span>
        </nav>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {path === "/" && <Demonstration />}
        {view}
      </main>
      <footer class="colophon">
        <p>{edition.farewell}</p>
        <p>
          <a href={edition.licences}>Typefaces and licences</a>
        </p>
      </footer>
    </div>
  );
}

const NotFound = () => (
  <section class="plain">
    <h1>Return to sender</h1>
    <p>There is no page at this address.</p>
    <p>
      <a class="button" href="/">
        Back to the shop
      </a>
    </p>
  </section>
);
