import { Alert, Radio, Stack, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { Cluster } from "../../api/client";
import type { RestorePoint } from "../../api/restore-points";
import { ConfirmName } from "../../components/ConfirmName";
import { FormDialog } from "../../components/DialogForm";
import { ZonedTime } from "../../components/ZonedTime";
import { useCreateRestore } from "./data";
import { DestinationSelect } from "./DestinationSelect";
import { newRestoreDraft, restoreError, restoreRequest } from "./restore-draft";
import { RestoreContents } from "./RestoreContents";

interface Props {
  /** The cluster of the backup. */
  cluster: Cluster;
  point: RestorePoint;
  onClose: () => void;
}

/** Restores a backup or a moment between two backups, into its cluster or into another one. */
export function RestoreDialog({ cluster, point, onClose }: Props) {
  const [draft, setDraft] = useState(newRestoreDraft);
  const [itself, setItself] = useState(true);
  const [typed, setTyped] = useState("");
  const [other, setOther] = useState<string | null>(null);
  const navigate = useNavigate();
  const restore = useCreateRestore();
  const all = draft.type === "CLUSTER";
  const replaces = all && itself;
  const destination = itself ? cluster.id : other;
  const incomplete = replaces ? typed !== cluster.name : destination === null;
  const submit = () => {
    if (destination === null) return;
    const showProgress = () => {
      onClose();
      void navigate({ to: "/clusters/$clusterId/backups", params: { clusterId: destination } });
    };
    const body = restoreRequest(draft, cluster.id, point);
    restore.mutate({ destination, body }, { onSuccess: showProgress });
  };
  return (
    <FormDialog
      title={point.backup ? "Restore backup" : "Restore a point in time"}
      action="Restore"
      danger={replaces}
      disabled={restoreError(draft) ?? incomplete}
      pending={restore.isPending}
      error={restore.error}
      errorTitle="Couldn't start the restore"
      onSubmit={submit}
      onClose={onClose}
    >
      <Text>
        {all
          ? `All databases and SQL users of ${cluster.name} are restored as they were on `
          : `Data of ${cluster.name} is restored as it was on `}
        <ZonedTime time={point.time} />.
      </Text>
      {cluster.plan === "ADVANCED" && (
        <RestoreContents cluster={cluster} draft={draft} onChange={(part) => setDraft({ ...draft, ...part })} />
      )}
      <Radio.Group
        label="Restore into"
        value={itself ? "itself" : "other"}
        onChange={(value) => setItself(value === "itself")}
      >
        <Stack gap="xs" mt="xs">
          <Radio
            value="itself"
            label="This cluster"
            description={all ? "Replaces its current data." : "Adds to its current data. Nothing is replaced."}
          />
          <Radio
            value="other"
            label="Another cluster"
            description={all ? "Must have the same plan and be empty." : "Must have the same plan."}
          />
        </Stack>
      </Radio.Group>
      {replaces && (
        <>
          <Alert color="orange" variant="light" role="status" icon={<IconAlertTriangle size={18} aria-hidden />}>
            <Text size="sm">
              The current data of {cluster.name} is erased, and its SQL clients are disconnected until the restore is
              complete. You can't undo this action. If the restore fails, the current data is kept.
            </Text>
          </Alert>
          <ConfirmName name={cluster.name} value={typed} onChange={setTyped} />
        </>
      )}
      {!itself && <DestinationSelect source={cluster} type={draft.type} value={other} onChange={setOther} />}
    </FormDialog>
  );
}
