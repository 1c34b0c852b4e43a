/** The extensions under `/api/ootheca/v1`. The OpenAPI document does not hold them, so they are typed here. */
import { ApiError, call, setCsrfToken, type Schemas } from "./client";

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

/** The session with its user, roles, and CSRF token. */
export interface Session {
  user: { id: string; email: string; has_password: boolean };
  organization: { id: string; name: string; label: string };
  roles: Schemas["BuiltInRole"][];
  session: SessionInfo;
  csrf_token: string;
  /** The IP address of the caller as the server sees it. Older servers omit it. */
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
  /** Only in the response to `create`. */
  link?: string;
  link_token?: string;
}

export type SignIn =
  { email: string; password: string; organization?: string } | { link_token: string; password?: string };

async function rememberCsrfToken(answer: Promise<Session>): Promise<Session> {
  const session = await answer;
  setCsrfToken(session.csrf_token);
  return session;
}

/** The current session, or `null` without one. */
export async function getSession(signal?: AbortSignal): Promise<Session | null> {
  try {
    return await rememberCsrfToken(call<Session>("GET", `${BASE}session`, undefined, signal));
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return null;
    throw error;
  }
}

export const signIn = (input: SignIn) => rememberCsrfToken(call<Session>("POST", `${BASE}session`, input));

export async function signOut() {
  await call("DELETE", `${BASE}session`);
  setCsrfToken("");
}

export const changePassword = (input: { old_password?: string; new_password: string }) =>
  rememberCsrfToken(call<Session>("PUT", `${BASE}session/password`, input));

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
  create: (input: { email: string; roles: string[] }) => call<Invitation>("POST", `${BASE}invitations`, input),
  revoke: (id: string) => call("DELETE", `${BASE}invitations/${encodeURIComponent(id)}`),
};

/** Time series with common timestamps; `null` where there is no sample. */
export interface Samples {
  /** Unix seconds. */
  from: number | string;
  to: number | string;
  step_seconds: number;
  /** Unix seconds. */
  times: number[];
  series: Record<string, (number | null)[]>;
}

/** The latest sample of a cluster: the value of each series. */
export type LatestSample = Record<string, number | null>;

async function orIfMissing<T>(answer: Promise<T>, instead: T): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 501)) return instead;
    throw error;
  }
}

/** The time series of a cluster, or `null` if the server keeps none. */
export function samples(cluster: string, from: Date, to: Date, points = 300, signal?: AbortSignal) {
  const query = new URLSearchParams({ from: from.toISOString(), to: to.toISOString(), points: String(points) });
  const path = `${BASE}clusters/${encodeURIComponent(cluster)}/samples?${query}`;
  return orIfMissing<Samples | null>(call<Samples>("GET", path, undefined, signal), null);
}

interface LatestSamplesResponse {
  samples: { cluster_id: string; time: number | string; values: LatestSample }[];
}

/** The latest sample of each cluster by cluster ID, for the first 200 clusters. */
export async function latestSamples(ids: string[], signal?: AbortSignal): Promise<Record<string, LatestSample>> {
  if (ids.length === 0) return {};
  const query = ids.slice(0, 200).map(encodeURIComponent).join(",");
  const answer = call<LatestSamplesResponse>("GET", `${BASE}samples?clusters=${query}`, undefined, signal);
  const { samples } = await orIfMissing(answer, { samples: [] });
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

/** Runs one statement in its own transaction, as the owner of the cluster. */
export const sql = (cluster: string, input: SqlRequest, signal?: AbortSignal) =>
  call<SqlResult>("POST", `${BASE}clusters/${encodeURIComponent(cluster)}/sql`, input, signal);
