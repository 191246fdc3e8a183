import type { Affinity } from "../lib/api";
import { newestFirst } from "../panel/words";

/** The two sides of the slider: the version being rolled out, and those that have the rest. */
export interface Split {
  next: string;
  /** The share of `next`, in percent. */
  share: number;
  /** The other versions that have a share, newest first; where none has, the one to go back to. */
  rest: string[];
}

/** How the slider reads the deployment: its newest version is the one being rolled out. */
export function splitOf({ percentages, known }: Affinity): Split {
  const deployed = newestFirst(Object.keys(percentages));
  const [next = ""] = deployed.length > 1 ? deployed : newestFirst(known);
  const others = deployed.filter((id) => id !== next);
  const served = others.filter((id) => percentages[id]);
  const back = others[0] ?? newestFirst(known).find((id) => id !== next);
  return { next, share: percentages[next] ?? 0, rest: served.length || !back ? served : [back] };
}

/** The percentages that give `next` the share `target`; the rest keep their proportions, staged versions stay at 0. */
export function percentagesAt(state: Affinity, target: number): Record<string, number> {
  const { next, share, rest } = splitOf(state);
  const part = (id: string) => (share < 100 ? (state.percentages[id] ?? 0) / (100 - share) : 1);
  const staged = Object.keys(state.percentages).map((id) => [id, 0]);
  const others = rest.map((id) => [id, part(id) * (100 - target)]);
  return Object.fromEntries([...staged, ...others, [next, target]]) as Record<string, number>;
}
