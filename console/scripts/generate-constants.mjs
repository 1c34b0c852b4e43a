// Writes the constants that the console takes from the OpenAPI document: the roles that may call each operation, and
// the actions of the audit log. Usage: node generate-constants.mjs OPENAPI.json OUTPUT.ts
import { readFileSync, writeFileSync } from "node:fs";

const [source, output] = process.argv.slice(2);
const document = JSON.parse(readFileSync(source, "utf8"));
const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
const roles = Object.fromEntries(
  operations
    .filter(({ operationId }) => operationId)
    .map(({ operationId, "x-roles": names }) => [operationId, names ?? []]),
);
const actions = document.components.schemas.AuditLogAction.enum;

writeFileSync(
  output,
  `// Generated from the OpenAPI document by scripts/generate-constants.mjs.
export const OPERATION_ROLES = ${JSON.stringify(roles, null, 2)} as const;
export const AUDIT_ACTIONS = ${JSON.stringify(actions, null, 2)} as const;
`,
);
