/** A version as a postmark, in that version's hue. */
export const Mark = ({ version }: { version: string }) => (
  <span class="mark-badge" data-of={version} aria-hidden="true">
    {version}
  </span>
);
