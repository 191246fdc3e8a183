import { useAffinity } from "./panel/store";

/** One sentence that says what the visitor sees; it changes with the percentages. */
export function Demonstration() {
  const state = useAffinity();
  return (
    <p class="demonstration">
      <span>{state?.demonstration ?? "This is a demonstration of version_affinity."}</span> <a href="/rollout">Move the percentages</a>
    </p>
  );
}
