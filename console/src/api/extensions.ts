/** The extensions of the API: sessions, users, invitations, samples, and the SQL shell. */
import { api, ApiError, setCsrfToken, unwrap, type Schemas } from "./client";

export type Session = Schemas["CurrentSession"];
export type SessionInfo = Schemas["Session"];
export type SignIn = Schemas["CreateSessionRequest"];
export type Person = Schemas["Person"];
export type Invitation = Schemas["Invitation"];
/** Time series with common timestamps; `null` where there is no sample. */
export type Samples = Schemas["ClusterSamples"];
/** The latest sample of a cluster: the value of each series. */
export type LatestSample = Schemas["LatestSample"]["values"];
export type SqlRequest = Schemas["RunStatementRequest"];
export type SqlResult = Schemas["RunStatementResponse"];

async function rememberCsrfToken(answer: Promise<Session>): Promise<Session> {
  const session = await answer;
  setCsrfToken(session.csrf_token);
  return session;
}

/** The current session, or `null` without one. */
export async function getSession(signal?: AbortSignal): Promise<Session | null> {
  try {
    return await rememberCsrfToken(unwrap(api.GET("/api/ootheca/v1/session", { signal })));
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return null;
    throw error;
  }
}

export const signIn = (body: SignIn) => rememberCsrfToken(unwrap(api.POST("/api/ootheca/v1/session", { body })));

/** Ends the session. A session that has already ended is not an error. */
export async function signOut() {
  await unwrap(api.DELETE("/api/ootheca/v1/session")).catch((error: unknown) => {
    if (!(error instanceof ApiError && error.status === 401)) throw error;
  });
  setCsrfToken("");
}

export const changePassword = (body: Schemas["ChangePasswordRequest"]) =>
  rememberCsrfToken(unwrap(api.PUT("/api/ootheca/v1/session/password", { body })));

export const sessions = {
  list: async () => (await unwrap(api.GET("/api/ootheca/v1/sessions"))).sessions,
  end: (id: string) => unwrap(api.DELETE("/api/ootheca/v1/sessions/{id}", { params: { path: { id } } })),
};

export const people = {
  list: async () => (await unwrap(api.GET("/api/ootheca/v1/people"))).people,
  remove: (id: string) => unwrap(api.DELETE("/api/ootheca/v1/people/{id}", { params: { path: { id } } })),
};

export const invitations = {
  list: async () => (await unwrap(api.GET("/api/ootheca/v1/invitations"))).invitations,
  create: (body: Schemas["CreateInvitationRequest"]) => unwrap(api.POST("/api/ootheca/v1/invitations", { body })),
  revoke: (id: string) => unwrap(api.DELETE("/api/ootheca/v1/invitations/{id}", { params: { path: { id } } })),
};

/** The time series of a cluster, or `null` if the cluster doesn't exist. */
export async function samples(
  cluster: string,
  from: Date,
  to: Date,
  points = 300,
  signal?: AbortSignal,
): Promise<Samples | null> {
  const params = {
    path: { cluster_id: cluster },
    query: { from: from.toISOString(), to: to.toISOString(), points },
  };
  try {
    return await unwrap(api.GET("/api/ootheca/v1/clusters/{cluster_id}/samples", { params, signal }));
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

/** The latest sample of each cluster by cluster ID, for the first 200 clusters. */
export async function latestSamples(ids: string[], signal?: AbortSignal): Promise<Record<string, LatestSample>> {
  if (ids.length === 0) return {};
  const params = { query: { clusters: ids.slice(0, 200).join(",") } };
  const { samples } = await unwrap(api.GET("/api/ootheca/v1/samples", { params, signal }));
  return Object.fromEntries(samples.map(({ cluster_id, values }) => [cluster_id, values]));
}

/** Runs one statement in its own transaction, as the owner of the cluster. */
export const sql = (cluster: string, body: SqlRequest, signal?: AbortSignal) =>
  unwrap(
    api.POST("/api/ootheca/v1/clusters/{cluster_id}/sql", {
      params: { path: { cluster_id: cluster } },
      body,
      signal,
    }),
  );
