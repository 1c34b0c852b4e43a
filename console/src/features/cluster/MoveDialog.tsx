import { useState } from "react";
import type { Cluster } from "../../api/client";
import { FormDialog } from "../../components/DialogForm";
import { FolderSelect } from "./FolderSelect";
import { useUpdateCluster } from "./mutations";

/** Moves a cluster to a folder. */
export function MoveDialog({ cluster, onClose }: { cluster: Cluster; onClose: () => void }) {
  const [folder, setFolder] = useState(cluster.parent_id);
  const update = useUpdateCluster(cluster, {
    successMessage: `Cluster ${cluster.name} moved`,
    errorTitle: null,
    onSuccess: onClose,
  });
  return (
    <FormDialog
      title={`Move ${cluster.name}`}
      action="Move"
      disabled={folder === cluster.parent_id}
      pending={update.isPending}
      error={update.error}
      errorTitle="Couldn't move the cluster"
      onSubmit={() => update.mutate({ parent_id: folder })}
      onClose={onClose}
    >
      <FolderSelect
        value={folder}
        onChange={setFolder}
        description="Roles on a folder also apply to the clusters in it."
      />
    </FormDialog>
  );
}
