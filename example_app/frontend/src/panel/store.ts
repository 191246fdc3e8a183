import { useEffect, useState } from "preact/hooks";
import { type Affinity, affinity } from "../lib/api";

const subscribers = new Set<(state: Affinity) => void>();
let latest: Affinity | null = null;
let period = 5000;
let timer = 0;

/** Asks the server now, informs all subscribers, and asks again after the period while the tab is visible. */
export async function refresh(): Promise<void> {
  clearTimeout(timer);
  try {
    latest = await affinity();
    for (const tell of subscribers) tell(latest);
  } catch {
    // The server may be restarting. The last state stays until the server answers again.
  }
  clearTimeout(timer);
  if (!document.hidden) timer = window.setTimeout(refresh, period);
}

/** The server's view of this browser. `milliseconds` sets a shorter period than the usual five seconds. */
export function useAffinity(milliseconds = 5000): Affinity | null {
  const [state, setState] = useState(latest);
  useEffect(() => {
    period = Math.min(period, milliseconds);
    subscribers.add(setState);
    if (subscribers.size === 1) {
      document.addEventListener("visibilitychange", refresh);
      void refresh();
    } else if (latest) setState(latest);
    return () => {
      subscribers.delete(setState);
      if (subscribers.size === 0) {
        document.removeEventListener("visibilitychange", refresh);
        clearTimeout(timer);
      }
    };
  }, []);
  return state;
}
