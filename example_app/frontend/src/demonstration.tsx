import { useAffinity } from "./panel/store";

/** What the visitor is looking at, in one sentence that follows the percentages. */
export function Demonstration() {
  const state = useAffinity();
  return (
    <p class="demonstration">
      <span>{state?.demonstration ?? "This is a demonstration of version_affinity."}</span> <a href="/rollout">Move the percentages</a>
    </p>
  );
}
