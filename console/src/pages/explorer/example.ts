/** Builds an example request body from its schema: every field with a value of its type. */
import { resolveReference, type Document, type Operation, type Schema } from "./document";

/** Deeper objects stay empty, because schemas can be recursive. */
const MAX_DEPTH = 6;

/** Short examples, for operations whose schema has many fields. */
const SHORT_EXAMPLES: Record<string, unknown> = {
  CreateCluster: {
    name: "my-cluster",
    provider: "GCP",
    spec: { plan: "BASIC", serverless: { regions: ["us-central1"], usage_limits: {} } },
  },
  UpdateCluster: { delete_protection: "ENABLED" },
  SetRolesForUser: { roles: [{ name: "CLUSTER_DEVELOPER", resource: { type: "ORGANIZATION" } }] },
  CreateServiceAccount: { name: "deploy", description: "", roles: [] },
  CreateFolder: { name: "My folder", parent_id: "root" },
  CreateApiKey: { name: "my-key", service_account_id: "" },
};

/** The initial text of the body editor. */
export function exampleBody(document: Document, operation: Operation): string {
  if (!operation.body) return "";
  const value = SHORT_EXAMPLES[operation.id] ?? example(document, operation.body);
  return JSON.stringify(value, null, 2);
}

/** A value that fits `schema`. */
export function example(document: Document, schema: Schema, depth = 0): unknown {
  if (schema.$ref) return example(document, resolveReference(document, schema.$ref) as Schema, depth);
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) {
    const choice = choices.find((choice) => choice.type !== "null");
    return choice ? example(document, choice, depth) : null;
  }
  const type = Array.isArray(schema.type) ? schema.type.find((type) => type !== "null") : schema.type;
  switch (type) {
    case "object":
      return object(document, schema, depth);
    case "array":
      return schema.items && depth < MAX_DEPTH ? [example(document, schema.items, depth + 1)] : [];
    case "integer":
    case "number":
      return 0;
    case "boolean":
      return false;
    case "string":
      return schema.format === "date-time" ? new Date().toISOString() : "";
    default:
      return schema.properties ? object(document, schema, depth) : null;
  }
}

function object(document: Document, schema: Schema, depth: number): Record<string, unknown> {
  if (depth >= MAX_DEPTH) return {};
  const members = Object.entries(schema.properties ?? {});
  return Object.fromEntries(members.map(([name, member]) => [name, example(document, member, depth + 1)]));
}
