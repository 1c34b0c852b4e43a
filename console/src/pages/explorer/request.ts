/** What is sent for an operation: its address, headers and body, and the same as a curl command. */
import { API_VERSION } from "../../api/client";
import type { Operation } from "./document";

export type Draft = { values: Record<string, string>; body: string; dryRun: boolean };

export type Prepared = { method: string; path: string; headers: Record<string, string>; body?: string };

/** Parameters that the page sets by itself. */
export const OWN_PARAMETERS = ["Cc-Version", "dry_run"];

/** Whether the operation can be tried without being done. */
export const canRehearse = (operation: Operation) =>
  operation.parameters.some((parameter) => parameter.name === "dry_run");

/** Path parameters that have no value yet. A grant on the organization has an empty id. */
export function missing(operation: Operation, draft: Draft): string[] {
  return operation.parameters
    .filter((parameter) => parameter.required && !OWN_PARAMETERS.includes(parameter.name))
    .map((parameter) => parameter.name)
    .filter((name) => !draft.values[name] && name !== "resource_id");
}

export function prepare(operation: Operation, draft: Draft): Prepared {
  const given = operation.parameters.filter((parameter) => draft.values[parameter.name]);
  const query = new URLSearchParams();
  const headers: Record<string, string> = { "Cc-Version": API_VERSION };
  for (const parameter of given) {
    const value = draft.values[parameter.name] ?? "";
    if (parameter.in === "query") query.append(parameter.name, value);
    if (parameter.in === "header") headers[parameter.name] = value;
  }
  if (draft.dryRun && canRehearse(operation)) query.set("dry_run", "true");
  const filled = operation.path.replace(/\{([^}]+)\}/g, (_, name: string) =>
    encodeURIComponent(draft.values[name] ?? ""),
  );
  const tail = query.size > 0 ? `?${query}` : "";
  const body = operation.body && draft.body.trim() !== "" ? draft.body : undefined;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return { method: operation.method, path: filled + tail, headers, body };
}

/** The same request for a shell, with an API key in place of the session. */
export function curl(prepared: Prepared, origin: string): string {
  const lines = [`curl -X ${prepared.method} ${quote(origin + prepared.path)}`];
  lines.push(`-H "Authorization: Bearer $OOTHECA_API_KEY"`);
  for (const [name, value] of Object.entries(prepared.headers)) lines.push(`-H ${quote(`${name}: ${value}`)}`);
  if (prepared.body !== undefined) lines.push(`--data ${quote(compact(prepared.body))}`);
  return lines.join(" \\\n  ");
}

const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

function compact(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body));
  } catch {
    return body;
  }
}

/** Why `body` is no JSON, or nothing. */
export function fault(body: string): string | undefined {
  if (body.trim() === "") return undefined;
  try {
    JSON.parse(body);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : "not JSON";
  }
}
