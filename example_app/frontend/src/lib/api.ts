/** The responses of the server's JSON API. */

export interface Product {
  slug: string;
  name: string;
  kind: string;
  art: string;
  price: number;
  line: string;
  story: string;
  facts: string[];
}

export interface Verdict {
  version: string;
  reason: string;
  /** The reason as a noun: "the version key of the user". */
  decided_by: string;
  /** The reason as a clause: "your version key is assigned to it". */
  because: string;
  source: string | null;
  refused: string | null;
  /** What was refused, and why. */
  refusal: string | null;
}

export interface CounterSummary {
  requests: Record<string, number>;
  pages: Record<string, number>;
  reasons: { reason: string; decided_by: string; count: number }[];
  missing: Record<string, number>;
  /** Files that were missing for browsers that chose the shop without version_affinity. */
  missing_unprotected: number;
  rescues: { decided: string; served: string; count: number }[];
  refused: Record<string, number>;
}

export interface Affinity extends Verdict {
  name: string;
  revision: number;
  percentages: Record<string, number>;
  known: string[];
  /** What the example shows, in one sentence. */
  demonstration: string;
  /** False in a browser that chose the shop without version_affinity. */
  protected: boolean;
  pin: { bucket: number | null; version: string } | null;
  next_page: Verdict;
  user: string | null;
  counters: CounterSummary;
}

async function json<T>(path: string, init?: RequestInit): Promise<T> {
  const response = await fetch(path, init);
  const body: unknown = await response.json();
  if (!response.ok) throw new Error((body as { error?: string }).error ?? `${path} answered ${response.status}`);
  return body as T;
}

let catalogue: Promise<Product[]> | undefined;

/** The whole catalogue, asked for once per page. */
export function products(): Promise<Product[]> {
  catalogue ??= json<{ products: Product[] }>("/api/products").then((body) => body.products);
  catalogue.catch(() => (catalogue = undefined));
  return catalogue;
}

export const affinity = () => json<Affinity>("/api/affinity");

/** The version of each simulated user, under the live percentages or under `percentages`. */
export const cohort = (size: number, percentages: Record<string, number> = {}) =>
  json<{ users: string[] }>(
    `/api/cohort?${new URLSearchParams({ size: `${size}`, ...Object.fromEntries(Object.entries(percentages).map(([id, share]) => [id, `${share}`])) })}`,
  ).then((body) => body.users);

export const deploy = (percentages: Record<string, number>) =>
  json<{ revision: number }>("/api/deploy", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(percentages),
  });
