import { Autocomplete, Radio, Stack, Switch, TagsInput, TextInput } from "@mantine/core";
import type { Cluster } from "../../api/client";
import { useAllowed } from "../../api/permissions";
import { hasPresentData } from "../../api/queries";
import { useDatabases } from "../../api/sql-objects";
import { databaseNameError, SQL_NAME_RULE } from "../../api/validation";
import { withRule } from "../../components/withRule";
import type { RestoreDraft, RestoreType } from "./restore-draft";

interface FieldsProps {
  draft: RestoreDraft;
  /** The names of the current databases, as suggestions. */
  databases: string[];
  onChange: (part: Partial<RestoreDraft>) => void;
}

interface Props {
  /** The cluster of the backup, an Advanced one. */
  cluster: Cluster;
  draft: RestoreDraft;
  onChange: (part: Partial<RestoreDraft>) => void;
}

/** Chooses what is restored: all data, databases, or tables. */
export function RestoreContents({ cluster, draft, onChange }: Props) {
  const canList = useAllowed(cluster, "ListDatabases") && hasPresentData(cluster);
  const { data } = useDatabases(cluster.id, canList && draft.type !== "CLUSTER");
  const fields = { draft, databases: data?.map(({ name }) => name) ?? [], onChange };
  return (
    <>
      <Radio.Group
        label="What to restore"
        value={draft.type}
        onChange={(type) => onChange({ type: type as RestoreType })}
      >
        <Stack gap="xs" mt="xs">
          <Radio value="CLUSTER" label="All data" />
          <Radio value="DATABASE" label="Databases" />
          <Radio value="TABLE" label="Tables" />
        </Stack>
      </Radio.Group>
      {draft.type === "DATABASE" && <DatabaseFields {...fields} />}
      {draft.type === "TABLE" && <TableFields {...fields} />}
      {draft.type !== "CLUSTER" && (
        <Switch
          label="Restore only the schema, without rows"
          checked={draft.schemaOnly}
          onChange={(event) => onChange({ schemaOnly: event.currentTarget.checked })}
        />
      )}
    </>
  );
}

const isListed = (name: string, names: string[]) => names.includes(name);

function DatabaseFields({ draft, databases, onChange }: FieldsProps) {
  const { newName } = draft;
  return (
    <>
      <TagsInput
        label="Databases to restore"
        description="Select databases, or type the names of deleted ones."
        placeholder={draft.databases.length === 0 ? "Name of a database" : undefined}
        data={databases}
        isDuplicate={isListed}
        value={draft.databases}
        onChange={(names) => onChange({ databases: names })}
      />
      {draft.databases.length === 1 && (
        <TextInput
          label="New name"
          placeholder={draft.databases[0]}
          autoComplete="off"
          spellCheck={false}
          value={newName}
          {...withRule(
            `A database with this name must not exist. ${SQL_NAME_RULE}`,
            newName ? databaseNameError(newName) : null,
          )}
          onChange={(event) => onChange({ newName: event.currentTarget.value })}
        />
      )}
    </>
  );
}

function TableFields({ draft, databases, onChange }: FieldsProps) {
  return (
    <>
      <Autocomplete
        label="Database of the tables"
        placeholder="Name of a database"
        data={databases}
        value={draft.database}
        onChange={(database) => onChange({ database })}
      />
      <TagsInput
        label="Tables to restore"
        description="Names of tables or views. In another schema than public, use schema.table."
        placeholder={draft.tables.length === 0 ? "Name of a table" : undefined}
        isDuplicate={isListed}
        value={draft.tables}
        onChange={(tables) => onChange({ tables })}
      />
      <Autocomplete
        label="Restore into the database"
        description="It must exist, and must not contain tables with these names."
        placeholder={draft.database || "The database of the tables"}
        data={databases}
        value={draft.intoDatabase}
        onChange={(intoDatabase) => onChange({ intoDatabase })}
      />
      <Switch
        label="Leave out foreign keys to tables that aren't restored"
        checked={draft.skipsForeignKeys}
        onChange={(event) => onChange({ skipsForeignKeys: event.currentTarget.checked })}
      />
      <Switch
        label="Leave out defaults that use sequences that aren't restored"
        checked={draft.skipsSequences}
        onChange={(event) => onChange({ skipsSequences: event.currentTarget.checked })}
      />
      <Switch
        label="Leave out views of tables that aren't restored"
        checked={draft.skipsViews}
        onChange={(event) => onChange({ skipsViews: event.currentTarget.checked })}
      />
    </>
  );
}
