/** Builds the request of an operation, and the equivalent curl command. */
import { API_VERSION } from "../../api/client";
import type { Operation } from "./document";

export type Draft = { values: Record<string, string>; body: string; dryRun: boolean };

export type Prepared = { method: string; path: string; headers: Record<string, string>; body?: string };

/** Parameters that the page sets itself. */
export const AUTOMATIC_PARAMETERS = ["Cc-Version", "dry_run"];

/** Whether the operation has a dry run. */
export const supportsDryRun = (operation: Operation) =>
  operation.parameters.some((parameter) => parameter.name === "dry_run");

/** The required parameters without a value. `resource_id` can be empty: it stands for the organization. */
export function missing(operation: Operation, draft: Draft): string[] {
  return operation.parameters
    .filter((parameter) => parameter.required && !AUTOMATIC_PARAMETERS.includes(parameter.name))
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
  if (draft.dryRun && supportsDryRun(operation)) query.set("dry_run", "true");
  const filled = operation.path.replace(/\{([^}]+)\}/g, (_, name: string) =>
    encodeURIComponent(draft.values[name] ?? ""),
  );
  const tail = query.size > 0 ? `?${query}` : "";
  const body = operation.body && draft.body.trim() !== "" ? draft.body : undefined;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return { method: operation.method, path: filled + tail, headers, body };
}

/** The request as a curl command, with an API key instead of the session. */
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

/** Why `body` isn't valid JSON, or undefined. */
export function jsonError(body: string): string | undefined {
  if (body.trim() === "") return undefined;
  try {
    JSON.parse(body);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : "not valid JSON";
  }
}
