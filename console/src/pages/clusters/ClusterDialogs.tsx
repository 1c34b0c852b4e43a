import { Suspense, lazy } from "react";
import type { Cluster } from "../../api/client";
import { DeleteDialog } from "../../components/cluster/DeleteDialog";
import { LabelsDialog } from "../../components/cluster/LabelsDialog";
import { MoveDialog } from "../../components/cluster/MoveDialog";

const ConnectDialog = lazy(() => import("../connect"));

export interface OpenDialog {
  kind: "connect" | "labels" | "move" | "delete";
  cluster: Cluster;
}

/** The dialog that a row's menu opened. */
export function ClusterDialogs({ kind, cluster, onClose }: OpenDialog & { onClose: () => void }) {
  switch (kind) {
    case "connect":
      return (
        <Suspense fallback={null}>
          <ConnectDialog cluster={cluster} opened onClose={onClose} />
        </Suspense>
      );
    case "labels":
      return <LabelsDialog cluster={cluster} onClose={onClose} />;
    case "move":
      return <MoveDialog cluster={cluster} onClose={onClose} />;
    case "delete":
      return <DeleteDialog cluster={cluster} onClose={onClose} />;
  }
}
