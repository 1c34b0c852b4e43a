/** Backup and restore of a cluster: the schedule of its backups, the backups, and the restores into it. */
import { Button, Skeleton, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconCopy } from "@tabler/icons-react";
import type { Cluster } from "../../api/client";
import { useAllowed, useCanClone } from "../../api/permissions";
import { hasPresentData } from "../../api/queries";
import { ErrorAlert } from "../../components/ErrorAlert";
import { CloneDialog } from "../../features/clone/CloneDialog";
import { ClusterPage } from "../../features/cluster/ClusterPage";
import { BackupTimeline } from "./BackupTimeline";
import { useBackupConfiguration } from "./data";
import { Restores } from "./Restores";
import type { BackupConfiguration } from "./schedule";
import { ScheduleDialog } from "./ScheduleDialog";
import { ScheduleSection } from "./ScheduleSection";

export default function BackupsPage() {
  return (
    <ClusterPage
      title="Backup and restore"
      text="Restore the cluster to an earlier time, clone it, and choose how often to back it up."
      actions={(cluster) => <CloneNow key={cluster.id} cluster={cluster} />}
    >
      {(cluster) =>
        cluster.state === "DELETED" ? (
          <Text>
            This cluster has been deleted. Its backups are kept until they expire, and can be cloned or restored into
            another cluster with the command line or the API.
          </Text>
        ) : (
          <Backups key={cluster.id} cluster={cluster} />
        )
      }
    </ClusterPage>
  );
}

/** Clones the present data. */
function CloneNow({ cluster }: { cluster: Cluster }) {
  const [cloning, dialog] = useDisclosure();
  if (!useCanClone(cluster) || cluster.state === "DELETED") return null;
  return (
    <>
      <Button
        variant="default"
        leftSection={<IconCopy size={16} aria-hidden />}
        disabled={!hasPresentData(cluster)}
        onClick={dialog.open}
      >
        Clone now
      </Button>
      {cloning && <CloneDialog source={cluster} onClose={dialog.close} />}
    </>
  );
}

function Backups({ cluster }: { cluster: Cluster }) {
  const { data, error, refetch } = useBackupConfiguration(cluster.id);
  if (data) return <Sections cluster={cluster} configuration={data} />;
  return error ? (
    <ErrorAlert title="Couldn't load the backup schedule" error={error} retry={() => void refetch()} />
  ) : (
    <Skeleton height={180} radius="md" role="status" aria-label="Loading" />
  );
}

function Sections({ cluster, configuration }: { cluster: Cluster; configuration: BackupConfiguration }) {
  const [editing, dialog] = useDisclosure();
  const canEdit = useAllowed(cluster, "UpdateBackupConfiguration");
  const edit = canEdit ? dialog.open : undefined;
  return (
    <>
      <ScheduleSection configuration={configuration} fixed={cluster.plan === "BASIC"} onEdit={edit} />
      <Restores cluster={cluster.id} />
      <BackupTimeline cluster={cluster} configuration={configuration} onEditSchedule={edit} />
      {editing && <ScheduleDialog cluster={cluster.id} configuration={configuration} onClose={dialog.close} />}
    </>
  );
}
