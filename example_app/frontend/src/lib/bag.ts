import { useEffect, useState } from "preact/hooks";

const KEY = "second-post-bag";

// Storage throws where the visitor blocks site data; the bag then lives as long as the page.
let held = 0;
try {
  held = Number(localStorage.getItem(KEY)) || 0;
} catch {
  held = 0;
}

export function addToBag(): void {
  held += 1;
  try {
    localStorage.setItem(KEY, `${held}`);
  } catch {
    // kept in memory only
  }
  dispatchEvent(new Event("bag"));
}

/** How many things are in the bag; it outlives a move to another version. */
export function useBag(): number {
  const [count, setCount] = useState(held);
  useEffect(() => {
    const follow = () => setCount(held);
    addEventListener("bag", follow);
    return () => removeEventListener("bag", follow);
  }, []);
  return count;
}
