import { Alert, Button, Group, Modal, Stack, Text } from "@mantine/core";
import { IconShieldLock } from "@tabler/icons-react";
import type { Cluster } from "../../api/client";
import { Confirm } from "../Confirm";
import { useDeleteCluster, useUpdateCluster } from "./changes";

interface Props {
  cluster: Cluster;
  onClose: () => void;
  /** After it is gone. */
  onDeleted?: () => void;
}

/** Mounted while it is open. A protected cluster must be opened first. */
export function DeleteDialog({ cluster, onClose, onDeleted }: Props) {
  const remove = useDeleteCluster(cluster, () => {
    onClose();
    onDeleted?.();
  });
  const open = useUpdateCluster(cluster, "Delete protection is off");
  if (cluster.delete_protection === "ENABLED") {
    return (
      <Modal opened onClose={onClose} title={`${cluster.name} is protected`}>
        <Stack>
          <Alert color="gray" icon={<IconShieldLock size={18} aria-hidden />}>
            <Text size="sm">Delete protection is on. Turn it off first; then the cluster can be deleted.</Text>
          </Alert>
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Keep it
            </Button>
            <Button
              variant="light"
              color="red"
              loading={open.isPending}
              onClick={() => open.mutate({ delete_protection: "DISABLED" })}
            >
              Turn protection off
            </Button>
          </Group>
        </Stack>
      </Modal>
    );
  }
  return (
    <Confirm
      opened
      onClose={onClose}
      title={`Delete ${cluster.name}`}
      action="Delete cluster"
      name={cluster.name}
      onConfirm={() => remove.mutate()}
      pending={remove.isPending}
      error={remove.error}
    >
      <Text>All its databases and SQL users are deleted and its connections end. This can not be undone.</Text>
    </Confirm>
  );
}
