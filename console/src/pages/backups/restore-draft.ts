/** What a restore restores: the contents of the form, their validation, and the request, as pure functions. */
import type { Schemas } from "../../api/client";
import { pointInRequest, type RestorePoint } from "../../api/restore-points";
import { databaseNameError } from "../../api/validation";
import { formatCount } from "../../lib/format";

type Body = Schemas["CreateRestoreBody"];
export type RestoreType = Schemas["RestoreType"];

export interface RestoreDraft {
  type: RestoreType;
  /** The databases, for type DATABASE. */
  databases: string[];
  /** The new name if there is one database; empty to keep its name. */
  newName: string;
  /** The database of the tables, for type TABLE. */
  database: string;
  /** Tables: `orders`, or `sales.orders` in another schema than `public`. */
  tables: string[];
  /** The database that the tables are restored into; empty for their own one. */
  intoDatabase: string;
  schemaOnly: boolean;
  skipsForeignKeys: boolean;
  skipsSequences: boolean;
  skipsViews: boolean;
}

export function newRestoreDraft(): RestoreDraft {
  return {
    type: "CLUSTER",
    databases: [],
    newName: "",
    database: "",
    tables: [],
    intoDatabase: "",
    schemaOnly: false,
    skipsForeignKeys: false,
    skipsSequences: false,
    skipsViews: false,
  };
}

/** What keeps the draft from being submitted. */
export function restoreError({ type, databases, newName, database, tables }: RestoreDraft): string | null {
  if (type === "DATABASE") {
    if (databases.length === 0) return "Select at least one database.";
    return databases.length === 1 && newName && databaseNameError(newName) ? "Correct the new name." : null;
  }
  if (type === "CLUSTER") return null;
  if (database.trim() === "") return "Select the database of the tables.";
  return tables.length === 0 ? "Enter at least one table." : null;
}

/** `sales.orders` as a schema and a table. Only what precedes the first period is a schema. */
function tableOf(database: string, name: string): Schemas["RestoreItem"] {
  const period = name.indexOf(".");
  return period < 0
    ? { database, table: name }
    : { database, schema: name.slice(0, period), table: name.slice(period + 1) };
}

function contentsOf(draft: RestoreDraft): Pick<Body, "objects" | "restore_opts"> {
  const schema = draft.schemaOnly ? { schema_only: true } : {};
  switch (draft.type) {
    case "CLUSTER":
      return {};
    case "DATABASE": {
      const renamed = draft.databases.length === 1 && draft.newName ? { new_db_name: draft.newName } : {};
      return {
        objects: draft.databases.map((database) => ({ database })),
        restore_opts: { ...renamed, ...schema },
      };
    }
    case "TABLE": {
      const database = draft.database.trim();
      const into = draft.intoDatabase.trim();
      return {
        objects: draft.tables.map((name) => tableOf(database, name)),
        restore_opts: {
          ...(into ? { into_db: into } : {}),
          ...schema,
          ...(draft.skipsForeignKeys ? { skip_missing_foreign_keys: true } : {}),
          ...(draft.skipsSequences ? { skip_missing_sequences: true } : {}),
          ...(draft.skipsViews ? { skip_missing_views: true } : {}),
        },
      };
    }
  }
}

/** The request that restores data of the cluster with the ID `source`. */
export function restoreRequest(draft: RestoreDraft, source: string, point: RestorePoint): Body {
  return { type: draft.type, source_cluster_id: source, ...pointInRequest(point), ...contentsOf(draft) };
}

/** The names that are shown; more are counted. */
const SHOWN_NAMES = 3;

/** What a restore restores: `All data`, `Database shop`, or `Tables shop.public.orders, shop.public.items`. */
export function contentsText({ type, objects }: Pick<Schemas["Restore"], "type" | "objects">): string {
  if (type === "CLUSTER") return "All data";
  const names = (objects ?? []).map(({ database, schema, table }) =>
    table ? `${database}.${schema ?? "public"}.${table}` : database,
  );
  const noun = type === "DATABASE" ? "Database" : "Table";
  const more = names.length - SHOWN_NAMES;
  const shown = names.slice(0, SHOWN_NAMES).join(", ");
  return `${noun}${names.length === 1 ? "" : "s"} ${shown}${more > 0 ? `, and ${formatCount(more, "other")}` : ""}`;
}
