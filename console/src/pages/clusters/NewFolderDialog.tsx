import { Button, Group, Modal, Stack, TextInput } from "@mantine/core";
import { useState } from "react";
import { api, unwrap, type FolderResource } from "../../api/client";
import { keys } from "../../api/queries";
import { ErrorNote } from "../../components/ErrorNote";
import { FolderSelect } from "../../components/cluster/FolderSelect";
import { useChange } from "../../shell/mutation";

/** Mounted while it is open. */
export function NewFolderDialog({ parent, onClose }: { parent: string; onClose: () => void }) {
  const [name, setName] = useState("");
  const [place, setPlace] = useState(parent);
  const create = useChange<FolderResource, void>({
    mutationFn: () => unwrap(api.POST("/api/v1/folders", { body: { name: name.trim(), parent_id: place } })),
    done: (folder) => `The folder ${folder.name} is there`,
    failed: null,
    touches: [keys.folders],
    onSuccess: onClose,
  });
  return (
    <Modal opened onClose={onClose} title="Create a folder">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          create.mutate();
        }}
      >
        <Stack>
          <TextInput
            label="Name"
            required
            data-autofocus
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <FolderSelect label="In" value={place} onChange={setPlace} />
          {create.error && <ErrorNote error={create.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={create.isPending} disabled={!name.trim()}>
              Create folder
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
