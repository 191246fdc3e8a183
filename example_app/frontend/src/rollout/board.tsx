import { useEffect, useRef, useState } from "preact/hooks";
import type { Affinity } from "../lib/api";
import { cohort, deploy } from "../lib/api";
import { Mark } from "../panel/mark";
import { refresh, useAffinity } from "../panel/store";
import { percent } from "../panel/words";
import { Counters } from "./counters";

const SIZE = 200;
const OLD = "v1";
const NEW = "v2";

/** The live half of the rollout page: the share, who falls where, and what was counted. */
export function Board() {
  const state = useAffinity(2000);
  if (!state) return <p class="waiting">Asking the server…</p>;
  return (
    <>
      <Controls state={state} />
      <Counters counters={state.counters} known={state.known} />
    </>
  );
}

function Controls({ state }: { state: Affinity }) {
  const live = state.percentages[NEW] ?? 0;
  const [draft, setDraft] = useState<number | null>(null);
  const [users, setUsers] = useState<string[]>([]);
  const [moves, setMoves] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);
  const settled = useRef<string[]>([]);
  const share = draft ?? live;

  // The dots follow the slider before anything is deployed: assignment is a pure function of name, percentages and key.
  useEffect(() => {
    let wanted = true;
    const ask = draft === null ? cohort(SIZE) : cohort(SIZE, { [OLD]: 100 - draft, [NEW]: draft });
    ask.then(
      (answer) => {
        if (!wanted) return;
        setUsers(answer);
        if (draft === null) {
          setMoves(described(settled.current, answer));
          settled.current = answer;
        }
      },
      (problem: unknown) => wanted && setError(String(problem)),
    );
    return () => {
      wanted = false;
    };
  }, [draft, state.revision]);

  async function apply(target: number) {
    setError(null);
    try {
      await deploy({ [OLD]: 100 - target, [NEW]: target });
    } catch (problem) {
      setError(String(problem));
    }
    await refresh();
    setDraft(null);
  }

  const tally = (id: string) => users.filter((version) => version === id).length;
  const ids = [...new Set([OLD, NEW, ...users])];
  return (
    <section class="desk" aria-labelledby="desk-title">
      <div class="desk-head">
        <h2 id="desk-title">Who gets which version</h2>
        <p class="quiet-text">
          Deployment “{state.name}”, revision {state.revision}
        </p>
      </div>
      <div class="control">
        <label class="share" for="share">
          <span>
            <Mark version={NEW} />
            {percent(share)}
          </span>
          <span>
            {percent(100 - share)}
            <Mark version={OLD} />
          </span>
        </label>
        <input
          id="share"
          type="range"
          min="0"
          max="100"
          step="1"
          value={share}
          style={{ "--share": `${share}%` }}
          aria-label={`Share of ${NEW}`}
          aria-valuetext={`${share} % for ${NEW}`}
          onInput={(event) => setDraft(event.currentTarget.valueAsNumber)}
          onChange={(event) => void apply(event.currentTarget.valueAsNumber)}
        />
        <div class="steps" role="group" aria-label={`Deploy a share of ${NEW}`}>
          {[10, 50, 100].map((target) => (
            <button key={target} type="button" class="button quiet" aria-pressed={live === target} onClick={() => void apply(target)}>
              {target}&#8201;%
            </button>
          ))}
          <button type="button" class="button" disabled={live === 0} onClick={() => void apply(0)}>
            Roll back to {OLD}
          </button>
        </div>
        {error && (
          <p class="problem" role="alert">
            {error}
          </p>
        )}
      </div>
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
      <div class="cohort-foot">
        <ul class="legend">
          {ids.map((id) => (
            <li key={id} data-of={id}>
              <i data-of={id} /> {tally(id)} on {id}
            </li>
          ))}
        </ul>
        <p aria-live="polite" data-moves>
          {draft === null ? (moves ?? `${SIZE} simulated users, each one an envelope.`) : "Let go to deploy this share."}
        </p>
      </div>
    </section>
  );
}

/** Who moved between two rounds of the same users, in a sentence. */
function described(before: string[], after: string[]): string | null {
  if (before.length !== after.length) return null;
  const moved = new Map<string, number>();
  after.forEach((version, index) => {
    const from = before[index];
    if (from !== version) moved.set(`${from} to ${version}`, (moved.get(`${from} to ${version}`) ?? 0) + 1);
  });
  if (moved.size === 0) return null;
  const parts = [...moved].map(([way, count]) => `${count} moved from ${way}`);
  return `${parts.join(", ")}.${moved.size === 1 ? " Nobody moved the other way." : ""}`;
}
