import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { useState } from "react";
import type { Cluster } from "../../api/client";
import { ErrorNote } from "../ErrorNote";
import { useUpdateCluster } from "./changes";
import { LabelsInput } from "./LabelsInput";
import { labelsOf, labelsProblem, type LabelRow } from "./words";

interface Props {
  cluster: Cluster;
  onClose: () => void;
}

/** Mounted while it is open. */
export function LabelsDialog({ cluster, onClose }: Props) {
  const [rows, setRows] = useState<LabelRow[]>(() => {
    const known = Object.entries(cluster.labels);
    return known.length > 0 ? known : [["", ""]];
  });
  const update = useUpdateCluster(cluster, "Labels are saved", onClose, null);
  const problem = labelsProblem(rows);
  return (
    <Modal opened onClose={onClose} title={`Labels of ${cluster.name}`}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!problem) update.mutate({ labels: labelsOf(rows) });
        }}
      >
        <Stack>
          <Text size="sm" c="dimmed">
            Labels help to find clusters again; the search knows them.
          </Text>
          <LabelsInput rows={rows} onChange={setRows} problem={problem} />
          {update.error && <ErrorNote error={update.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" disabled={problem !== null} loading={update.isPending}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
