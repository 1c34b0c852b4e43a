/**
 * The client of the API. Types come from the server's own OpenAPI document, and the session is a cookie of the
 * browser. Requests that change something carry the session's CSRF token.
 */
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema.generated";

export type Schemas = components["schemas"];
export type Cluster = Schemas["Cluster"];
export type FolderResource = Schemas["FolderResource"];

/** The version of the API that the console uses. */
export const API_VERSION = "2026-09-15";

/** An error response of the server. Status 0 means that the server can't be reached. */
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
const sessionListeners = new Set<() => void>();
const connectionListeners = new Set<(connected: boolean) => void>();

/** Sets the token that `GET session` has returned. */
export function setCsrfToken(token: string) {
  csrfToken = token;
}

/** Calls back when the server no longer accepts the session. Returns a function that unsubscribes. */
export function onSessionEnded(listener: () => void) {
  sessionListeners.add(listener);
  return () => void sessionListeners.delete(listener);
}

/** Calls back with whether the last request reached the server. Returns a function that unsubscribes. */
export function onConnectionChange(listener: (connected: boolean) => void) {
  connectionListeners.add(listener);
  return () => void connectionListeners.delete(listener);
}

function notifyConnection(connected: boolean) {
  for (const listener of connectionListeners) listener(connected);
}

/** `fetch` with the headers that every request needs. Rejects with `ApiError` if there is no response. */
export async function request(input: Request): Promise<Response> {
  input.headers.set("Cc-Version", API_VERSION);
  if (input.method !== "GET" && csrfToken) input.headers.set("X-CSRF-Token", csrfToken);
  let response: Response;
  try {
    response = await fetch(input);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    notifyConnection(false);
    throw new ApiError(0, "The server can't be reached. The console keeps trying.");
  }
  // A proxy answers 502 or 504 for a server that is down, and a server that is starting answers 503.
  notifyConnection(![502, 503, 504].includes(response.status));
  if (response.status === 401 && !input.url.endsWith("/api/ootheca/v1/session")) {
    for (const listener of sessionListeners) listener();
  }
  return response;
}

/** Reads an error response. */
async function readError(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  return toApiError(response, text);
}

function toApiError(response: Response, body: unknown): ApiError {
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
  if (!message) message = `The server returned ${response.status} ${response.statusText}`.trim();
  return new ApiError(response.status, message, response.headers.get("cc-trace-id") ?? undefined);
}

/** The API describes errors in `message`, SCIM in `detail`. */
function messageOf(body: unknown): string {
  if (typeof body !== "object" || body === null) return "";
  const { message, detail } = body as { message?: unknown; detail?: unknown };
  return typeof message === "string" ? message : typeof detail === "string" ? detail : "";
}

const throwOnError: Middleware = {
  async onResponse({ response }) {
    if (!response.ok) throw await readError(response);
    return response;
  },
};

/** Typed by path: `api.GET("/api/v1/clusters/{cluster_id}", { params: … })`. */
export const api = createClient<paths>({ baseUrl: "/", fetch: request, headers: { Accept: "application/json" } });
api.use(throwOnError);

/** The body of a response; throws `ApiError` on failure. */
export async function unwrap<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer;
  if (error !== undefined || !response.ok) throw toApiError(response, error);
  return data as T;
}

/** Reads a file that is not an operation, such as the OpenAPI document itself. */
export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await request(new Request(path, { headers: { Accept: "application/json" }, signal }));
  if (!response.ok) throw await readError(response);
  return (await response.json()) as T;
}

export const PAGE_SIZE = 500;

/** The query parameters of one page of a list. */
export const pageQuery = (page: string) => ({ "pagination.limit": PAGE_SIZE, "pagination.page": page });

/** Reads a list to its last page. */
export async function fetchAllPages<T>(
  fetchPage: (page: string) => Promise<{ items: T[]; next: string }>,
): Promise<T[]> {
  const all: T[] = [];
  let page = "";
  do {
    const answer = await fetchPage(page);
    all.push(...answer.items);
    page = answer.next;
  } while (page);
  return all;
}

/** The message of anything that was thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
