import { Modal } from "@mantine/core";
import type { Cluster } from "../../api/client";

interface Props {
  cluster: Cluster;
  opened: boolean;
  onClose: () => void;
}

export default function ConnectDialog({ cluster, opened, onClose }: Props) {
  return (
    <Modal opened={opened} onClose={onClose} title={`Connect to ${cluster.name}`}>
      This dialog is not there yet.
    </Modal>
  );
}
