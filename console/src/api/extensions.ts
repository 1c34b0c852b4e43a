/** The server's extensions under `/api/ootheca/v1`, typed by hand: docs/console.md describes them. */
import { ApiError, call, keepCsrfToken, type Schemas } from "./client";

const BASE = "/api/ootheca/v1/";

export interface SessionInfo {
  id: string;
  created_at: string;
  expires_at: string;
  last_used_at: string;
  ip_address: string;
  user_agent: string;
  current: boolean;
}

/** Who is signed in. */
export interface Whoami {
  user: { id: string; email: string; has_password: boolean };
  organization: { id: string; name: string; label: string };
  roles: Schemas["BuiltInRole"][];
  session: SessionInfo;
  csrf_token: string;
  /** Where the caller is seen to come from; older servers do not say. */
  address?: string;
}

export interface Person {
  id: string;
  email: string;
  active: boolean;
  has_password: boolean;
  created_at: string;
  roles: Schemas["BuiltInRole"][];
}

export interface Invitation {
  id: string;
  email: string;
  user_id: string;
  roles: Schemas["BuiltInRole"][];
  for_new_password: boolean;
  creator_name: string;
  created_at: string;
  expires_at: string;
  /** Shown once, in the answer to `create`. */
  link?: string;
  link_token?: string;
}

export type SignIn =
  { email: string; password: string; organization?: string } | { link_token: string; password?: string };

async function keep(answer: Promise<Whoami>): Promise<Whoami> {
  const whoami = await answer;
  keepCsrfToken(whoami.csrf_token);
  return whoami;
}

/** Who is signed in; `null` when nobody is. */
export async function session(signal?: AbortSignal): Promise<Whoami | null> {
  try {
    return await keep(call<Whoami>("GET", `${BASE}session`, undefined, signal));
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return null;
    throw error;
  }
}

export const signIn = (wish: SignIn) => keep(call<Whoami>("POST", `${BASE}session`, wish));

export async function signOut() {
  await call("DELETE", `${BASE}session`);
  keepCsrfToken("");
}

export const changePassword = (wish: { old_password?: string; new_password: string }) =>
  keep(call<Whoami>("PUT", `${BASE}session/password`, wish));

export const sessions = {
  list: async () => (await call<{ sessions: SessionInfo[] }>("GET", `${BASE}sessions`)).sessions,
  end: (id: string) => call("DELETE", `${BASE}sessions/${encodeURIComponent(id)}`),
};

export const people = {
  list: async () => (await call<{ people: Person[] }>("GET", `${BASE}people`)).people,
  remove: (id: string) => call("DELETE", `${BASE}people/${encodeURIComponent(id)}`),
};

export const invitations = {
  list: async () => (await call<{ invitations: Invitation[] }>("GET", `${BASE}invitations`)).invitations,
  create: (wish: { email: string; roles: string[] }) => call<Invitation>("POST", `${BASE}invitations`, wish),
  revoke: (id: string) => call("DELETE", `${BASE}invitations/${encodeURIComponent(id)}`),
};

/** Series on common times; `null` where there was no sample. */
export interface Samples {
  /** Unix seconds. */
  from: number | string;
  to: number | string;
  step_seconds: number;
  /** Unix seconds. */
  times: number[];
  series: Record<string, (number | null)[]>;
}

/** The newest sample of a cluster: a name and a number each. */
export type NewestSample = Record<string, number | null>;

async function unlessMissing<T>(answer: Promise<T>, instead: T): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 501)) return instead;
    throw error;
  }
}

/** Series of a cluster; `null` when the server keeps none. */
export function samples(cluster: string, from: Date, to: Date, points = 300, signal?: AbortSignal) {
  const query = new URLSearchParams({ from: from.toISOString(), to: to.toISOString(), points: String(points) });
  const path = `${BASE}clusters/${encodeURIComponent(cluster)}/samples?${query}`;
  return unlessMissing<Samples | null>(call<Samples>("GET", path, undefined, signal), null);
}

interface NewestAnswer {
  samples: { cluster_id: string; time: number | string; values: NewestSample }[];
}

/** The newest sample of each cluster, by its id; at most 200 are asked for. */
export async function newestSamples(ids: string[], signal?: AbortSignal): Promise<Record<string, NewestSample>> {
  if (ids.length === 0) return {};
  const query = ids.slice(0, 200).map(encodeURIComponent).join(",");
  const answer = call<NewestAnswer>("GET", `${BASE}samples?clusters=${query}`, undefined, signal);
  const { samples } = await unlessMissing(answer, { samples: [] });
  return Object.fromEntries(samples.map(({ cluster_id, values }) => [cluster_id, values]));
}

export interface SqlRequest {
  database: string;
  statement: string;
  write?: boolean;
  explain?: boolean;
}

export interface SqlResult {
  columns: { name: string; type: string }[];
  rows: (string | null)[][];
  row_count: number;
  truncated: boolean;
  tag: string;
  elapsed_ms: number;
  notices: string[];
}

/** One statement, in a transaction of its own, as the cluster's owner. */
export const sql = (cluster: string, wish: SqlRequest, signal?: AbortSignal) =>
  call<SqlResult>("POST", `${BASE}clusters/${encodeURIComponent(cluster)}/sql`, wish, signal);
