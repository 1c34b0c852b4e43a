// Writes the constants that the console takes from the OpenAPI document: the roles that may call each implemented
// operation, and the actions of the audit log. Usage: node generate-constants.mjs OPENAPI.json FOLDER
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [source, folder] = process.argv.slice(2);
const document = JSON.parse(readFileSync(source, "utf8"));
const operations = Object.values(document.paths)
  .flatMap((methods) => Object.values(methods))
  .filter((operation) => operation.operationId && !operation["x-unimplemented"]);
const roles = Object.fromEntries(operations.map(({ operationId, "x-roles": names }) => [operationId, names ?? []]));

function write(name, constant, value) {
  const text = `// Generated from the OpenAPI document by scripts/generate-constants.mjs.
export const ${constant} = ${JSON.stringify(value, null, 2)} as const;
`;
  writeFileSync(join(folder, name), text);
}

write("operation-roles.generated.ts", "OPERATION_ROLES", roles);
write("audit-actions.generated.ts", "AUDIT_ACTIONS", document.components.schemas.AuditLogAction.enum);
