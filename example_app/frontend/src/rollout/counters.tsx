import type { CounterSummary } from "../lib/api";
import { Mark } from "../panel/mark";

const number = new Intl.NumberFormat("en-GB");
const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, count) => total + count, 0);

/** The counters of this process, as the rollout guide tells people to watch them. */
export function Counters({ counters, known }: { counters: CounterSummary; known: string[] }) {
  const missing = sum(counters.missing);
  const rescued = counters.rescues.reduce((total, rescue) => total + rescue.count, 0);
  const refused = sum(counters.refused);
  const busiest = Math.max(1, ...Object.values(counters.requests));
  return (
    <section class="tally" aria-labelledby="tally-title">
      <div class="desk-head">
        <h2 id="tally-title">What was counted</h2>
        <p class="quiet-text">This process, since it started. Open pages ask every few seconds, and that counts too.</p>
      </div>
      <div class="tally-grid">
        <table>
          <caption class="visually-hidden">Requests and pages by version</caption>
          <thead>
            <tr>
              <th scope="col">Version</th>
              <th scope="col" class="bar-head">
                Requests
              </th>
              <th scope="col">Pages</th>
            </tr>
          </thead>
          <tbody>
            {known.map((id) => (
              <tr key={id} data-of={id}>
                <th scope="row">
                  <Mark version={id} />
                  <span class="visually-hidden">{id}</span>
                </th>
                <td class="bar">
                  <span style={{ "--part": (counters.requests[id] ?? 0) / busiest }}>{number.format(counters.requests[id] ?? 0)}</span>
                </td>
                <td>{number.format(counters.pages[id] ?? 0)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        <dl class="figures">
          <div data-alarm={missing > 0 || undefined}>
            <dt>Assets nobody had</dt>
            <dd>{number.format(missing)}</dd>
            <p>{missing ? detail(counters.missing, "decided for") : "No page has asked for a file that is gone."}</p>
          </div>
          <div>
            <dt>Rescues</dt>
            <dd>{number.format(rescued)}</dd>
            <p>
              {rescued
                ? counters.rescues.map((one) => `${one.count} × ${one.decided} decided, ${one.served} served`).join("; ")
                : "Files served from another version than the one decided."}
            </p>
          </div>
          <div>
            <dt>Refused</dt>
            <dd>{number.format(refused)}</dd>
            <p>{refused ? detail(counters.refused, "") : "Overrides and keys that could not be used."}</p>
          </div>
        </dl>
      </div>
      <p class="reasons">
        {Object.entries(counters.reasons)
          .sort(([, a], [, b]) => b - a)
          .map(([reason, count]) => (
            <span key={reason}>
              {reason} <b>{number.format(count)}</b>
            </span>
          ))}
      </p>
    </section>
  );
}

const detail = (counts: Record<string, number>, word: string) =>
  Object.entries(counts)
    .map(([name, count]) => `${count} × ${word} ${name}`.replace("  ", " "))
    .join("; ");
