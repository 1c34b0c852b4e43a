import { Alert, Progress, Text } from "@mantine/core";
import { IconRestore } from "@tabler/icons-react";
import type { Cluster } from "../../api/client";
import { useAllowed } from "../../api/permissions";
import { isRestoring } from "../../api/queries";
import { isRunning, percentOf, restoredTime, useRestores } from "../../api/restores";
import { formatDateTime } from "../../lib/format";

/**
 * The progress of a restore, and what it means for the cluster. Shown while the cluster is locked by it, and while the
 * cluster is created with the data of another one.
 */
export function RestoreBanner({ cluster }: { cluster: Cluster }) {
  const restoring = isRestoring(cluster);
  const creating = cluster.state === "CREATING";
  const canList = useAllowed(cluster, "ListRestores");
  const restore = useRestores(cluster.id, (restoring || creating) && canList).data?.find(isRunning);
  if (!restoring && !(creating && restore)) return null;
  const time = restore && formatDateTime(restoredTime(restore));
  return (
    <Alert
      color="blue"
      variant="light"
      role="status"
      title={creating ? "Copying the data" : "Restoring a backup"}
      icon={<IconRestore size={18} aria-hidden />}
    >
      <Text size="sm" c="var(--mantine-color-text)">
        {restore ? `The data of ${restore.source_cluster_name} as of ${time} is being restored. ` : ""}
        {creating
          ? "SQL clients can connect when it is complete."
          : "SQL clients can't connect, and the cluster can't be changed, until the restore is complete."}
      </Text>
      {restore && <Progress value={percentOf(restore)} aria-label="Progress of the restore" mt="sm" />}
    </Alert>
  );
}
