import { lazy, Suspense } from "react";
import type { Cluster } from "../../api/client";
import { CloneDialog } from "../clone/CloneDialog";
import { DeleteDialog } from "./DeleteDialog";
import { LabelsDialog } from "./LabelsDialog";
import { MoveDialog } from "./MoveDialog";
import { useUpdateCluster } from "./mutations";

const ConnectDialog = lazy(() => import("../connect/ConnectDialog"));

export type ClusterDialog = "connect" | "clone" | "labels" | "move" | "delete";

interface Props {
  kind: ClusterDialog;
  cluster: Cluster;
  onClose: () => void;
  onDeleted?: () => void;
}

/** The dialog that a menu of a cluster has opened. */
export function ClusterDialogs({ kind, cluster, onClose, onDeleted }: Props) {
  switch (kind) {
    case "connect":
      return (
        <Suspense fallback={null}>
          <ConnectDialog cluster={cluster} onClose={onClose} />
        </Suspense>
      );
    case "clone":
      return <CloneDialog source={cluster} onClose={onClose} />;
    case "labels":
      return <ClusterLabelsDialog cluster={cluster} onClose={onClose} />;
    case "move":
      return <MoveDialog cluster={cluster} onClose={onClose} />;
    case "delete":
      return <DeleteDialog cluster={cluster} onClose={onClose} onDeleted={onDeleted} />;
  }
}

function ClusterLabelsDialog({ cluster, onClose }: { cluster: Cluster; onClose: () => void }) {
  const update = useUpdateCluster(cluster, { successMessage: "Labels updated", errorTitle: null, onSuccess: onClose });
  return (
    <LabelsDialog
      name={cluster.name}
      labels={cluster.labels}
      pending={update.isPending}
      error={update.error}
      onSubmit={(labels) => update.mutate({ labels })}
      onClose={onClose}
    />
  );
}
