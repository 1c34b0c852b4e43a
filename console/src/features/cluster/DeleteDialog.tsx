import { Alert, Text } from "@mantine/core";
import { IconShieldLock } from "@tabler/icons-react";
import type { Cluster } from "../../api/client";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { FormDialog } from "../../components/DialogForm";
import { useDeleteCluster, useUpdateCluster } from "./mutations";

interface Props {
  cluster: Cluster;
  onClose: () => void;
  onDeleted?: () => void;
}

/** Deletes a cluster. If it has delete protection, the dialog first offers to turn it off. */
export function DeleteDialog({ cluster, onClose, onDeleted }: Props) {
  const remove = useDeleteCluster(cluster, () => {
    onClose();
    onDeleted?.();
  });
  const unprotect = useUpdateCluster(cluster, { successMessage: "Delete protection turned off", errorTitle: null });
  if (cluster.delete_protection === "ENABLED") {
    return (
      <FormDialog
        title={`${cluster.name} is protected`}
        action="Turn off protection"
        pending={unprotect.isPending}
        error={unprotect.error}
        errorTitle="Couldn't turn off delete protection"
        onSubmit={() => unprotect.mutate({ delete_protection: "DISABLED" })}
        onClose={onClose}
      >
        <Alert color="gray" icon={<IconShieldLock size={18} aria-hidden />}>
          <Text size="sm">Delete protection is on. Turn it off to delete this cluster.</Text>
        </Alert>
      </FormDialog>
    );
  }
  return (
    <ConfirmDialog
      title={`Delete ${cluster.name}?`}
      action="Delete cluster"
      name={cluster.name}
      onConfirm={() => remove.mutate()}
      onClose={onClose}
      pending={remove.isPending}
      error={remove.error}
    >
      This deletes all of its databases and SQL users and closes its connections. You can't undo this action.
    </ConfirmDialog>
  );
}
