import { Alert, Switch, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useState } from "react";
import { BACKUP_FREQUENCIES, BACKUP_RETENTIONS } from "../../api/validation";
import { FormDialog } from "../../components/DialogForm";
import { NumberSelect } from "../../components/NumberSelect";
import { useUpdateBackupConfiguration } from "./data";
import { changesOf, frequencyText, retentionText, type BackupConfiguration } from "./schedule";

interface Props {
  cluster: string;
  configuration: BackupConfiguration;
  onClose: () => void;
}

/** Edits the schedule of the backups of a cluster. */
export function ScheduleDialog({ cluster, configuration, onClose }: Props) {
  const [edits, setEdits] = useState<Partial<BackupConfiguration>>({});
  const update = useUpdateBackupConfiguration(cluster);
  const changes = changesOf(configuration, edits);
  const shown = { ...configuration, ...changes };
  const set = (part: Partial<BackupConfiguration>) => setEdits({ ...edits, ...part });
  return (
    <FormDialog
      title="Edit backup schedule"
      action="Save"
      disabled={Object.keys(changes).length === 0}
      pending={update.isPending}
      error={update.error}
      errorTitle="Couldn't update the backup schedule"
      onSubmit={() => update.mutate(changes, { onSuccess: onClose })}
      onClose={onClose}
    >
      <Switch
        label="Enable backups"
        description={shown.enabled ? undefined : "Enable backups to change the frequency and the retention."}
        checked={shown.enabled}
        onChange={(event) => set({ enabled: event.currentTarget.checked })}
      />
      <NumberSelect
        label="Frequency"
        description="How often to take a backup."
        values={BACKUP_FREQUENCIES}
        format={frequencyText}
        value={shown.frequency_minutes}
        disabled={!shown.enabled}
        onChange={(frequency_minutes) => set({ frequency_minutes })}
      />
      <NumberSelect
        label="Retention"
        description="How long to keep each backup. You can change this only once."
        values={BACKUP_RETENTIONS}
        format={retentionText}
        value={shown.retention_days}
        disabled={!shown.enabled}
        onChange={(retention_days) => set({ retention_days })}
      />
      {changes.retention_days !== undefined && (
        <Alert color="orange" variant="light" role="status" icon={<IconAlertTriangle size={18} aria-hidden />}>
          <Text size="sm">After you save, you can't change the retention of this cluster again.</Text>
        </Alert>
      )}
    </FormDialog>
  );
}
