/** What can be done with a folder. Each dialog is mounted while it is open. */
import { Button, Group, Modal, Select, Stack, Text, TextInput } from "@mantine/core";
import { useState, type ReactNode } from "react";
import { api, unwrap, type FolderResource } from "../../api/client";
import { keys, useFolders } from "../../api/queries";
import { LabelsInput } from "../../components/cluster/LabelsInput";
import { labelsOf, labelsProblem, type LabelRow } from "../../components/cluster/words";
import { Confirm } from "../../components/Confirm";
import { ErrorNote } from "../../components/ErrorNote";
import { useChange } from "../../shell/mutation";
import { nameFault, pathText, ROOT, within } from "./tree";

interface Props {
  folder: FolderResource;
  onClose: () => void;
}

type FolderChange = { name?: string; parent_id?: string; labels?: Record<string, string> };

function useUpdate(folder: FolderResource, done: string, onSuccess: () => void) {
  return useChange<FolderResource, FolderChange>({
    mutationFn: (body) =>
      unwrap(api.PATCH("/api/v1/folders/{folder_id}", { params: { path: { folder_id: folder.resource_id } }, body })),
    done,
    failed: null,
    touches: [keys.folders, keys.clusters],
    onSuccess,
  });
}

interface DialogProps {
  title: string;
  action: string;
  ready: boolean;
  pending: boolean;
  error: unknown;
  children: ReactNode;
  onSubmit: () => void;
  onClose: () => void;
}

function Dialog({ title, action, ready, pending, error, children, onSubmit, onClose }: DialogProps) {
  return (
    <Modal opened onClose={onClose} title={title}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (ready && !pending) onSubmit();
        }}
      >
        <Stack>
          {children}
          {error != null && <ErrorNote error={error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={pending} disabled={!ready}>
              {action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

function NameInput({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  return (
    <TextInput
      label="Name"
      required
      data-autofocus
      autoComplete="off"
      value={value}
      error={value.trim().length >= 3 ? nameFault(value) : undefined}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}

interface CreateProps {
  parent: string;
  /** Where it will lie, for people. */
  place: string;
  onClose: () => void;
  onDone: (folder: FolderResource) => void;
}

export function CreateDialog({ parent, place, onClose, onDone }: CreateProps) {
  const [name, setName] = useState("");
  const create = useChange<FolderResource, void>({
    mutationFn: () => unwrap(api.POST("/api/v1/folders", { body: { name: name.trim(), parent_id: parent } })),
    done: (folder) => `The folder ${folder.name} is there`,
    failed: null,
    touches: [keys.folders],
    onSuccess: (folder) => {
      onClose();
      onDone(folder);
    },
  });
  return (
    <Dialog
      title={parent === ROOT ? "Create a folder" : `Create a folder in ${place}`}
      action="Create"
      ready={!nameFault(name)}
      pending={create.isPending}
      error={create.error}
      onSubmit={() => create.mutate()}
      onClose={onClose}
    >
      <NameInput value={name} onChange={setName} />
    </Dialog>
  );
}

export function RenameDialog({ folder, onClose }: Props) {
  const [name, setName] = useState(folder.name);
  const update = useUpdate(folder, "Renamed", onClose);
  return (
    <Dialog
      title={`Rename ${folder.name}`}
      action="Rename"
      ready={!nameFault(name) && name.trim() !== folder.name}
      pending={update.isPending}
      error={update.error}
      onSubmit={() => update.mutate({ name: name.trim() })}
      onClose={onClose}
    >
      <NameInput value={name} onChange={setName} />
    </Dialog>
  );
}

export function MoveDialog({ folder, onClose }: Props) {
  const folders = useFolders().data ?? [];
  const [parent, setParent] = useState(folder.parent_id || ROOT);
  const update = useUpdate(folder, `${folder.name} is moved`, onClose);
  const inside = within(folders, folder.resource_id);
  const places = folders
    .filter((other) => !inside.has(other.resource_id))
    .map((other) => ({ value: other.resource_id, label: pathText(other) }))
    .sort((one, other) => one.label.localeCompare(other.label));
  return (
    <Dialog
      title={`Move ${folder.name}`}
      action="Move"
      ready={parent !== (folder.parent_id || ROOT)}
      pending={update.isPending}
      error={update.error}
      onSubmit={() => update.mutate({ parent_id: parent })}
      onClose={onClose}
    >
      <Select
        label="Into"
        data={[{ value: ROOT, label: "The top" }, ...places]}
        value={parent}
        onChange={(id) => setParent(id ?? ROOT)}
        searchable
        allowDeselect={false}
        nothingFoundMessage="No folder of this name"
      />
      <Text size="sm" c="dimmed">
        All that lies in it moves along. Roles held on the folders above it change with the place.
      </Text>
    </Dialog>
  );
}

export function LabelsDialog({ folder, onClose }: Props) {
  const [rows, setRows] = useState<LabelRow[]>(() => {
    const known = Object.entries(folder.labels);
    return known.length > 0 ? known : [["", ""]];
  });
  const update = useUpdate(folder, "Labels are saved", onClose);
  const problem = labelsProblem(rows);
  return (
    <Dialog
      title={`Labels of ${folder.name}`}
      action="Save"
      ready={problem === null}
      pending={update.isPending}
      error={update.error}
      onSubmit={() => update.mutate({ labels: labelsOf(rows) })}
      onClose={onClose}
    >
      <LabelsInput rows={rows} onChange={setRows} problem={problem} />
    </Dialog>
  );
}

export function DeleteDialog({ folder, onClose, onDone }: Props & { onDone: () => void }) {
  const remove = useChange<unknown, void>({
    mutationFn: () =>
      unwrap(api.DELETE("/api/v1/folders/{folder_id}", { params: { path: { folder_id: folder.resource_id } } })),
    done: `The folder ${folder.name} is deleted`,
    failed: null,
    touches: [keys.folders],
    onSuccess: () => {
      onClose();
      onDone();
    },
  });
  return (
    <Confirm
      opened
      onClose={onClose}
      title={`Delete ${folder.name}?`}
      action="Delete folder"
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate()}
    >
      Only an empty folder can be deleted. Roles that are held on it are gone with it.
    </Confirm>
  );
}
