import { useEffect, useState } from "preact/hooks";

const CLIENT_ROUTES = /^\/(?:about|product\/[^/]+)?$/;

/** The current path, following history.pushState navigation and the back and forward buttons. */
export function usePath(): string {
  const [path, setPath] = useState(location.pathname);
  useEffect(() => {
    const follow = () => setPath(location.pathname);
    addEventListener("popstate", follow);
    return () => removeEventListener("popstate", follow);
  }, []);
  return path;
}

/** Handles a click on a link to one of the application's own routes; all others load a page. */
export function followLink(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element).closest?.("a");
  if (!link || link.target || link.origin !== location.origin || !CLIENT_ROUTES.test(link.pathname)) return;
  event.preventDefault();
  if (link.href !== location.href) history.pushState(null, "", link.href);
  dispatchEvent(new PopStateEvent("popstate"));
  scrollTo(0, 0);
}
