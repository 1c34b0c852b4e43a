import { Autocomplete, Switch, Textarea } from "@mantine/core";
import type { Cluster } from "../../api/client";
import { useAllowed } from "../../api/permissions";
import { hasPresentData } from "../../api/queries";
import { useDatabases } from "../../api/sql-objects";
import type { CloneDraft } from "./draft";

interface Props {
  source: Cluster;
  draft: CloneDraft;
  onChange: (part: Partial<CloneDraft>) => void;
}

/** SQL that runs before SQL clients can connect to a clone. */
export function MaskingFields({ source, draft, onChange }: Props) {
  const canList = useAllowed(source, "ListDatabases") && hasPresentData(source);
  const databases = useDatabases(source.id, draft.masks && canList).data ?? [];
  return (
    <>
      <Switch
        label="Run SQL before clients can connect"
        description="For example, to remove personal data. If it fails, the cluster isn't created."
        checked={draft.masks}
        onChange={(event) => onChange({ masks: event.currentTarget.checked })}
      />
      {draft.masks && (
        <>
          <Textarea
            label="SQL"
            description="Runs in one transaction, unless it contains BEGIN and COMMIT."
            placeholder="UPDATE customers SET email = 'user' || id || '@example.com';"
            required
            autosize
            minRows={3}
            maxRows={12}
            spellCheck={false}
            styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }}
            value={draft.maskingSql}
            onChange={(event) => onChange({ maskingSql: event.currentTarget.value })}
          />
          <Autocomplete
            label="Database"
            description="The database in which the SQL runs."
            placeholder="defaultdb"
            data={databases.map(({ name }) => name)}
            value={draft.maskingDatabase}
            onChange={(maskingDatabase) => onChange({ maskingDatabase })}
          />
        </>
      )}
    </>
  );
}
