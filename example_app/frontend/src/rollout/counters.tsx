import type { CounterSummary } from "../lib/api";
import { Mark } from "../panel/mark";

const number = new Intl.NumberFormat("en-GB");
const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, count) => total + count, 0);

/** The counters of this process. */
export function Counters({ counters, known }: { counters: CounterSummary; known: string[] }) {
  const missing = sum(counters.missing);
  const rescued = counters.rescues.reduce((total, rescue) => total + rescue.count, 0);
  const refused = sum(counters.refused);
  const busiest = Math.max(1, ...Object.values(counters.requests));
  return (
    <section class="tally" aria-labelledby="tally-title">
      <div class="desk-head">
        <h2 id="tally-title">What was counted</h2>
        <p class="quiet-text">In this process, since it started. Open pages send a request every few seconds; these count too.</p>
      </div>
      <div class="tally-grid">
        <table>
          <caption>Requests by version, and how many of them loaded a page</caption>
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
            <dt>Missing files</dt>
            <dd>{number.format(missing)}</dd>
            <dd>{missing ? detail(counters.missing, "in a request for") : "Files that a page asked for, and that no version has."}</dd>
          </div>
          <div data-alarm={counters.missing_unprotected > 0 || undefined}>
            <dt>Missing without version_affinity</dt>
            <dd data-missing-unprotected>{number.format(counters.missing_unprotected)}</dd>
            <dd>The same, in browsers for which the switch below is on.</dd>
          </div>
          <div>
            <dt>Rescues</dt>
            <dd>{number.format(rescued)}</dd>
            <dd>
              {rescued
                ? counters.rescues.map((one) => `${one.count} × from ${one.served}, for a visitor of ${one.decided}`).join("; ")
                : "Files that were served from another version, because the decided version does not have them."}
            </dd>
          </div>
          <div>
            <dt>Refused</dt>
            <dd>{number.format(refused)}</dd>
            <dd>{refused ? detail(counters.refused, "") : "Overrides and version keys that could not be used."}</dd>
          </div>
        </dl>
      </div>
      <table class="reasons">
        <caption>What decided the version of these requests</caption>
        <thead>
          <tr>
            <th scope="col">Decided by</th>
            <th scope="col">Header says</th>
            <th scope="col">Requests</th>
          </tr>
        </thead>
        <tbody>
          {counters.reasons.map(({ reason, decided_by, count }) => (
            <tr key={reason}>
              <th scope="row">{decided_by}</th>
              <td>
                <code>{reason}</code>
              </td>
              <td>{number.format(count)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

const detail = (counts: Record<string, number>, word: string) =>
  Object.entries(counts)
    .map(([name, count]) => `${count} × ${word} ${name}`.replace("  ", " "))
    .join("; ");
