import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";

/** A page whose code is fetched when it is first shown. */
export function lazyPage(load: () => Promise<ComponentType>): ComponentType {
  let pending: Promise<ComponentType> | undefined;
  return function Lazy() {
    const [Page, setPage] = useState<{ view: ComponentType } | { error: string } | null>(null);
    useEffect(() => {
      let shown = true;
      pending ??= load();
      pending.then(
        (view) => shown && setPage({ view }),
        (error: unknown) => {
          pending = undefined;
          if (shown) setPage({ error: String(error) });
        },
      );
      return () => {
        shown = false;
      };
    }, []);
    if (!Page) return <p class="waiting">Fetching this page…</p>;
    if ("error" in Page) {
      return (
        <section class="plain" data-lazy-error={Page.error}>
          <h1>This page did not arrive</h1>
          <p>
            This tab is {import.meta.env.VITE_VERSION}. It asked for another file of {import.meta.env.VITE_VERSION}, and the server
            did not have that file for it. Many applications show a blank page in this case. Reload the tab to get the current
            version.
          </p>
          <p>
            <code>{Page.error}</code>
          </p>
        </section>
      );
    }
    return <Page.view />;
  };
}
