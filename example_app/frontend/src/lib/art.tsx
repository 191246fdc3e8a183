import sprite from "../assets/sprite.svg";

/** One drawing of the sprite; its colours come from the surrounding --art-* properties. */
export const Art = ({ id, label }: { id: string; label?: string }) => (
  <svg class="art" viewBox="0 0 120 120" role={label ? "img" : undefined} aria-label={label} aria-hidden={!label}>
    <use href={`${sprite}#${id}`} />
  </svg>
);
