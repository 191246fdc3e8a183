import "./panel.css";
import { render } from "preact";
import { Mark } from "./mark";
import { refresh, useAffinity } from "./store";
import { newestFirst, percent } from "./words";

const current = document.documentElement.dataset.version ?? "?";

/** Shows the version of this page and the reason. It is on every page, closed until the visitor opens it. */
function Panel() {
  const state = useAffinity();
  const next = state?.next_page;
  // A browser without cookies gets a random version with every page: the next one is unknown.
  const drawn = next?.source === null && (next.reason === "minted" || next.reason === "random");
  const moves = next !== undefined && !drawn && next.version !== current;
  return (
    <details
      class="panel"
      data-of={current}
      data-panel={state ? "ready" : "waiting"}
      onToggle={(event) => event.currentTarget.open && void refresh()}
    >
      <summary>
        <Mark version={current} />
        <span class="panel-now">
          This page is <b>{current}</b>
        </span>
        <span class="panel-next" aria-live="polite">
          {state && next && (
            <>
              {!state.protected && (moves ? "without version_affinity. " : "without version_affinity")}
              {moves ? (
                <>
                  A reload brings <b>{next.version}</b>
                </>
              ) : (
                state.protected && (next.refusal ?? (drawn ? "no cookie: drawn for every page" : `by ${next.decided_by}`))
              )}
            </>
          )}
        </span>
        <span class="panel-cue" aria-hidden="true" />
      </summary>
      {state && next && (
        <div class="panel-body">
          <dl>
            <div>
              <dt>This tab</dt>
              <dd>
                <b>{current}</b>
                {state.protected
                  ? ", and so is all code that it still asks for"
                  : `. The server looks in ${next.version} alone for the code that it still asks for`}
              </dd>
            </div>
            {state.protected && (
              <div>
                <dt>Last request</dt>
                <dd data-decision={state.reason}>
                  <b>{state.version}</b>, because {state.because}
                </dd>
              </div>
            )}
            <div>
              <dt>Next page load</dt>
              <dd data-next={drawn ? "drawn" : next.version}>
                {drawn ? (
                  "drawn by percentage, because this browser keeps no cookie of ours"
                ) : (
                  <>
                    <b>{next.version}</b>, because {next.because}
                  </>
                )}
              </dd>
            </div>
            {next.refusal && (
              <div data-refused={next.refused}>
                <dt>Refused</dt>
                <dd>{next.refusal}</dd>
              </div>
            )}
            <div>
              <dt>Cookie</dt>
              <dd>
                {state.pin
                  ? `The last page was ${state.pin.version}${state.pin.bucket === null ? "" : `; random number ${state.pin.bucket}`}`
                  : "none"}
              </dd>
            </div>
            <div>
              <dt>Deployment</dt>
              <dd>
                {newestFirst(Object.keys(state.percentages))
                  .map((id) => `${id} ${percent(state.percentages[id] ?? 0)}`)
                  .join(", ")}{" "}
                <span class="quiet-text">revision {state.revision}</span>
              </dd>
            </div>
          </dl>
          <div class="panel-acts">
            <a class="button" href="/rollout">
              Move the percentages
            </a>
            <a class="button quiet" href="/about">
              Open the lazily loaded page
            </a>
            {state.user ? (
              <form method="post" action="/logout">
                <input type="hidden" name="next" value={location.pathname} />
                <button class="button quiet" type="submit">
                  Sign out {state.user}
                </button>
              </form>
            ) : (
              <form method="post" action="/login" class="panel-login">
                <input type="hidden" name="next" value={location.pathname} />
                <label class="visually-hidden" for="panel-user">
                  User id
                </label>
                <input id="panel-user" name="user_id" required pattern="[A-Za-z0-9_.@\-]{1,64}" placeholder="any user id" autocomplete="username" />
                <button class="button quiet" type="submit">
                  Sign in
                </button>
              </form>
            )}
          </div>
        </div>
      )}
    </details>
  );
}

export function mountPanel(): void {
  const host = document.createElement("aside");
  host.className = "panel-host";
  host.setAttribute("aria-label", "Version of this page");
  document.body.append(host);
  render(<Panel />, host);
}
