import { useEffect, useRef, useState } from "preact/hooks";
import type { Affinity } from "../lib/api";
import { cohort, deploy } from "../lib/api";
import { Mark } from "../panel/mark";
import { refresh, useAffinity } from "../panel/store";
import { newestFirst, percent } from "../panel/words";
import { Counters } from "./counters";
import { percentagesAt, splitOf } from "./split";

const SIZE = 200;
/** How long the arrow keys must rest before the share is deployed; longer than keyboards wait before they repeat. */
const PAUSE = 700;

/** The interactive part of the rollout page: the slider, the simulated users and the counters. */
export function Board() {
  const state = useAffinity(2000);
  if (!state) return <p class="waiting">Asking the server…</p>;
  return (
    <>
      <Controls state={state} />
      <Counters counters={state.counters} known={newestFirst(state.known)} />
    </>
  );
}

function Controls({ state }: { state: Affinity }) {
  const { next, share: live, rest } = splitOf(state);
  const [draft, setDraft] = useState<number | null>(null);
  const [users, setUsers] = useState<string[]>([]);
  const [moves, setMoves] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);
  const settled = useRef({ shares: "", users: [] as string[] });
  const latest = useRef(state);
  latest.current = state;
  const sending = useRef<number | null>(null);
  const dragged = useRef(false);
  const timer = useRef(0);
  const share = draft ?? live;
  const shares = JSON.stringify(state.percentages);

  // The envelopes follow the slider before anything is deployed: assignment is a pure function of name, percentages and key.
  useEffect(() => {
    let wanted = true;
    cohort(SIZE, draft === null ? state.percentages : percentagesAt(state, draft)).then(
      (answer) => {
        if (!wanted) return;
        setUsers(answer);
        if (draft === null && settled.current.shares !== shares) {
          if (settled.current.shares) setMoves(described(settled.current.users, answer));
          settled.current = { shares, users: answer };
        }
      },
      (problem: unknown) => wanted && setError(String(problem)),
    );
    return () => {
      wanted = false;
    };
  }, [draft, shares]);

  async function apply(target: number) {
    clearTimeout(timer.current);
    if (target === (sending.current ?? splitOf(latest.current).share)) {
      if (sending.current === null) setDraft(null);
      return;
    }
    sending.current = target;
    setError(null);
    try {
      await deploy(percentagesAt(latest.current, target));
    } catch (problem) {
      setError(String(problem));
    }
    await refresh();
    if (sending.current === target) sending.current = null;
    setDraft((value) => (value === target ? null : value));
  }

  function press(target: number) {
    setDraft(null);
    void apply(target);
  }

  // A drag ends with one change, a key makes one with every press.
  function settle(target: number) {
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => void apply(target), dragged.current ? 0 : PAUSE);
  }

  const planned = percentagesAt(state, share);
  const tally = (id: string) => users.filter((version) => version === id).length;
  const ids = newestFirst([...rest, next, ...users]);
  const arriving = state.next_page.version;
  const current = document.documentElement.dataset.version;
  return (
    <section class="desk" aria-labelledby="desk-title">
      <div class="desk-head">
        <h2 id="desk-title">Who gets which version</h2>
        <p class="quiet-text">
          Deployment “{state.name}”, revision {state.revision}. These controls act on one process.
        </p>
      </div>
      {/* The envelopes stand above the slider: a finger that drags it does not cover them. */}
      <div class="control">
        <label class="share" for="share">
          <span>
            <Mark version={next} />
            {percent(share)}
          </span>
          {rest.map((id) => (
            <span key={id}>
              {percent(planned[id] ?? 0)}
              <Mark version={id} />
            </span>
          ))}
        </label>
        <div
          class="cohort"
          data-preview={draft !== null || undefined}
          role="img"
          aria-label={`${users.length} simulated users: ${ids.map((id) => `${tally(id)} on ${id}`).join(", ")}`}
        >
          {users.map((version, index) => (
            <i key={index} data-of={version} style={{ "--delay": `${(index % 25) * 8}ms` }} />
          ))}
        </div>
        <input
          id="share"
          type="range"
          min="0"
          max="100"
          step="1"
          value={share}
          style={{ "--share": `${share}%`, "--hue-next": hue(next), "--hue-rest": hue(rest.length === 1 ? rest[0] : "other") }}
          aria-label={`Share of ${next}`}
          aria-valuetext={`${percent(share)} for ${next}`}
          onPointerDown={() => (dragged.current = true)}
          onKeyDown={() => (dragged.current = false)}
          onInput={(event) => {
            clearTimeout(timer.current);
            setDraft(event.currentTarget.valueAsNumber);
          }}
          onChange={(event) => settle(event.currentTarget.valueAsNumber)}
        />
        <div class="cohort-foot">
          <ul class="legend">
            {ids.map((id) => (
              <li key={id} data-of={id}>
                <i data-of={id} /> {tally(id)} on {id}
              </li>
            ))}
          </ul>
          <p aria-live="polite" data-moves>
            {draft === null ? (moves ?? `${SIZE} simulated users, each one an envelope.`) : "Let go of the slider to deploy this share."}
          </p>
          {arriving !== current && (
            <p>
              This page stays {current}. A reload brings {arriving}.
            </p>
          )}
        </div>
        <div class="steps" role="group" aria-label={`Deploy a share of ${next}`}>
          {[10, 50, 100].map((target) => (
            <button key={target} type="button" class="button quiet" aria-pressed={live === target} onClick={() => press(target)}>
              {target}&#8201;%
            </button>
          ))}
          {/* Not "disabled": a button that is disabled while it has the focus loses it. */}
          <button type="button" class="button" aria-disabled={live === 0} onClick={() => press(0)}>
            Roll back to {rest.join(" and ")}
          </button>
        </div>
        {error && (
          <p class="problem" role="alert">
            {error}
          </p>
        )}
      </div>
    </section>
  );
}

const hue = (version = "other") => `var(--hue-${version}, var(--hue-other))`;

/** Who moved between two rounds of the same users, in a sentence. */
function described(before: string[], after: string[]): string {
  const moved = new Map<string, number>();
  after.forEach((version, index) => {
    const from = before[index];
    if (from !== version) moved.set(`${from} to ${version}`, (moved.get(`${from} to ${version}`) ?? 0) + 1);
  });
  if (moved.size === 0) return "Nobody moved.";
  const parts = [...moved].map(([way, count]) => `${count} moved from ${way}`);
  return `${parts.join(", ")}.${moved.size === 1 ? " Nobody moved the other way." : ""}`;
}
