import { Button, Group, Modal, Stack } from "@mantine/core";
import { useState } from "react";
import type { Cluster } from "../../api/client";
import { ErrorNote } from "../ErrorNote";
import { useUpdateCluster } from "./changes";
import { FolderSelect } from "./FolderSelect";

/** Mounted while it is open. */
export function MoveDialog({ cluster, onClose }: { cluster: Cluster; onClose: () => void }) {
  const [folder, setFolder] = useState(cluster.parent_id);
  const update = useUpdateCluster(cluster, `${cluster.name} is moved`, onClose, null);
  return (
    <Modal opened onClose={onClose} title={`Move ${cluster.name}`}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          update.mutate({ parent_id: folder });
        }}
      >
        <Stack>
          <FolderSelect
            value={folder}
            onChange={setFolder}
            description="Who holds a role on the folder holds it on the cluster."
          />
          {update.error && <ErrorNote error={update.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" disabled={folder === cluster.parent_id} loading={update.isPending}>
              Move
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
