/** Reads the operations with their parameters and bodies from the OpenAPI document. */
export type Schema = {
  $ref?: string;
  type?: string | string[];
  format?: string;
  description?: string;
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  required?: string[];
};

export type Parameter = {
  name: string;
  in: "path" | "query" | "header";
  description?: string;
  required?: boolean;
  schema?: Schema;
  /** The allowed values, if the schema lists them. */
  choices?: string[];
};

type Reference = { $ref: string };

type RawOperation = {
  operationId: string;
  summary?: string;
  description?: string;
  tags?: string[];
  parameters?: (Parameter | Reference)[];
  requestBody?: { required?: boolean; content: Record<string, { schema: Schema }> };
  responses: Record<string, { content?: Record<string, unknown> }>;
  deprecated?: boolean;
  "x-roles"?: string[];
  "x-unimplemented"?: boolean;
};

export type Document = {
  info: { title: string; version: string };
  paths: Record<string, Record<string, RawOperation>>;
  components: { schemas: Record<string, Schema>; parameters?: Record<string, Parameter> };
};

export type Operation = {
  id: string;
  method: string;
  path: string;
  tag: string;
  summary: string;
  description: string;
  parameters: Parameter[];
  body?: Schema;
  deprecated: boolean;
  unimplemented: boolean;
};

const METHODS = ["get", "post", "put", "patch", "delete"];

/** Resolves a reference inside the document. */
export function resolveReference(document: Document, reference: string): unknown {
  return reference
    .replace(/^#\//, "")
    .split("/")
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], document);
}

/** Whether the response is a stream, which doesn't end, so the page can't show it. */
const streams = (raw: RawOperation) => "text/event-stream" in (raw.responses["200"]?.content ?? {});

/** All operations except for streams, sorted by tag. */
export function operations(document: Document): Operation[] {
  const found: Operation[] = [];
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const method of METHODS) {
      const raw = methods[method];
      if (raw && !streams(raw)) found.push(operation(document, path, method, raw));
    }
  }
  return found.sort((one, other) => one.tag.localeCompare(other.tag));
}

function operation(document: Document, path: string, method: string, raw: RawOperation): Operation {
  const parameters = (raw.parameters ?? []).map((parameter) => {
    const found = "$ref" in parameter ? (resolveReference(document, parameter.$ref) as Parameter) : parameter;
    return { ...found, choices: choices(document, found.schema) };
  });
  const content = raw.requestBody?.content;
  return {
    id: raw.operationId,
    method: method.toUpperCase(),
    path,
    tag: raw.tags?.[0] ?? "Other",
    summary: raw.summary ?? raw.operationId,
    description: raw.description ?? "",
    parameters,
    body: content && Object.values(content)[0]?.schema,
    deprecated: raw.deprecated ?? false,
    unimplemented: raw["x-unimplemented"] !== undefined && raw["x-unimplemented"] !== false,
  };
}

/** The values that a schema lists, or undefined if it allows any value. */
function choices(document: Document, schema: Schema | undefined): string[] | undefined {
  if (schema?.$ref) return choices(document, resolveReference(document, schema.$ref) as Schema);
  if (schema?.items) return choices(document, schema.items);
  if (schema?.enum) return schema.enum.map(String);
  const constants = schema?.oneOf?.flatMap((one) => (one.const === undefined ? [] : [String(one.const)]));
  return constants && constants.length > 0 && constants.length === schema?.oneOf?.length ? constants : undefined;
}

/** The operations whose name, path, or summary contains every word of `search`. */
export function matching(all: Operation[], search: string): Operation[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return all.filter((operation) => {
    const text =
      `${operation.id} ${operation.method} ${operation.path} ${operation.summary} ${operation.tag}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** Groups operations by tag, and keeps their order. */
export function byTag(all: Operation[]): [string, Operation[]][] {
  const groups = new Map<string, Operation[]>();
  for (const operation of all) groups.set(operation.tag, [...(groups.get(operation.tag) ?? []), operation]);
  return [...groups];
}
