/**
 * The one client of the API: types come from the server's own OpenAPI document, and the session's cookie
 * from the browser. A change carries the session's second token, as the server demands.
 */
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema.generated";

export type Schemas = components["schemas"];
export type Cluster = Schemas["Cluster"];
export type FolderResource = Schemas["FolderResource"];

/** The version of the API that the console is written for. */
export const API_VERSION = "2026-09-15";

/** What the server answered when it refused, or that it could not be reached (`status` 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly traceId?: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

let csrfToken = "";
const ended = new Set<() => void>();
const reach = new Set<(reached: boolean) => void>();

/** Keeps the token that changes must carry; `GET session` tells it. */
export function keepCsrfToken(token: string) {
  csrfToken = token;
}

/** Calls back when the server no longer knows the session. Returns how to stop. */
export function onSessionEnded(listener: () => void) {
  ended.add(listener);
  return () => void ended.delete(listener);
}

/** Calls back with whether the last request reached the server. Returns how to stop. */
export function onReach(listener: (reached: boolean) => void) {
  reach.add(listener);
  return () => void reach.delete(listener);
}

function tellReach(reached: boolean) {
  for (const listener of reach) listener(reached);
}

/** `fetch` with what every request needs. Rejects with `ApiError` when nobody answers. */
export async function request(input: Request): Promise<Response> {
  input.headers.set("Cc-Version", API_VERSION);
  if (input.method !== "GET" && csrfToken) input.headers.set("X-CSRF-Token", csrfToken);
  let response: Response;
  try {
    response = await fetch(input);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    tellReach(false);
    throw new ApiError(0, "the server can not be reached; the console keeps trying");
  }
  const between = response.status === 502 || response.status === 504;
  tellReach(!between && response.status !== 503);
  if (response.status === 401 && !input.url.endsWith("/api/ootheca/v1/session")) {
    for (const listener of ended) listener();
  }
  return response;
}

/** What a refusing response says. */
export async function refusal(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  return refusalOf(response, text);
}

function refusalOf(response: Response, body: unknown): ApiError {
  let message = "";
  if (typeof body === "string") {
    try {
      message = messageOf(JSON.parse(body));
    } catch {
      message = "";
    }
  } else {
    message = messageOf(body);
  }
  if (!message) message = `the server answered ${response.status} ${response.statusText}`.trim();
  return new ApiError(response.status, message, response.headers.get("cc-trace-id") ?? undefined);
}

function messageOf(body: unknown): string {
  if (typeof body !== "object" || body === null) return "";
  const { message, detail } = body as { message?: unknown; detail?: unknown };
  return typeof message === "string" ? message : typeof detail === "string" ? detail : "";
}

const refuse: Middleware = {
  async onResponse({ response }) {
    if (!response.ok) throw await refusal(response);
    return response;
  },
};

/** Typed by path: `api.GET("/api/v1/clusters/{cluster_id}", { params: … })`. */
export const api = createClient<paths>({ baseUrl: "/", fetch: request, headers: { Accept: "application/json" } });
api.use(refuse);

/** The body of an answer; throws `ApiError` when there is none. */
export async function unwrap<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer;
  if (error !== undefined || !response.ok) throw refusalOf(response, error);
  return data as T;
}

/** For paths that the OpenAPI document does not hold. */
export async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await request(
    new Request(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal }),
  );
  if (!response.ok) throw await refusal(response);
  const text = await response.text();
  return (text ? JSON.parse(text) : {}) as T;
}

/** Text for a person, of anything that was thrown. */
export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
