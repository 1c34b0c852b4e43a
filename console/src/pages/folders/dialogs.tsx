/** The dialogs of a folder. */
import { useState } from "react";
import { api, unwrap, type FolderResource } from "../../api/client";
import { keys, useFolders } from "../../api/queries";
import { folderNameError } from "../../api/validation";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { FormDialog } from "../../components/DialogForm";
import { useNotifiedMutation } from "../../components/useNotifiedMutation";
import { FolderSelect } from "../../features/cluster/FolderSelect";
import { LabelsDialog as SharedLabelsDialog } from "../../features/cluster/LabelsDialog";
import { FolderNameInput } from "../../features/folder/CreateFolderDialog";
import { ROOT, withDescendants } from "./tree";

interface Props {
  folder: FolderResource;
  onClose: () => void;
}

type FolderUpdate = { name?: string; parent_id?: string; labels?: Record<string, string> };

function useUpdate(folder: FolderResource, successMessage: string, onSuccess: () => void) {
  return useNotifiedMutation<FolderResource, FolderUpdate>({
    mutationFn: (body) =>
      unwrap(api.PATCH("/api/v1/folders/{folder_id}", { params: { path: { folder_id: folder.resource_id } }, body })),
    successMessage,
    errorTitle: null,
    invalidates: [keys.folders, keys.clusters],
    onSuccess,
  });
}

export function RenameDialog({ folder, onClose }: Props) {
  const [name, setName] = useState(folder.name);
  const update = useUpdate(folder, "Folder renamed", onClose);
  return (
    <FormDialog
      title={`Rename ${folder.name}`}
      action="Rename"
      disabled={folderNameError(name) !== null || name.trim() === folder.name}
      pending={update.isPending}
      error={update.error}
      errorTitle="Couldn't rename the folder"
      onSubmit={() => update.mutate({ name: name.trim() })}
      onClose={onClose}
    >
      <FolderNameInput value={name} onChange={setName} />
    </FormDialog>
  );
}

export function MoveDialog({ folder, onClose }: Props) {
  const folders = useFolders().data ?? [];
  const [parent, setParent] = useState(folder.parent_id || ROOT);
  const update = useUpdate(folder, "Folder moved", onClose);
  return (
    <FormDialog
      title={`Move ${folder.name}`}
      action="Move"
      disabled={parent === (folder.parent_id || ROOT)}
      pending={update.isPending}
      error={update.error}
      errorTitle="Couldn't move the folder"
      onSubmit={() => update.mutate({ parent_id: parent })}
      onClose={onClose}
    >
      <FolderSelect
        label="Parent folder"
        description="Everything in the folder moves with it. Roles on its parent folders change accordingly."
        value={parent}
        onChange={setParent}
        exclude={withDescendants(folders, folder.resource_id)}
      />
    </FormDialog>
  );
}

export function LabelsDialog({ folder, onClose }: Props) {
  const update = useUpdate(folder, "Labels updated", onClose);
  return (
    <SharedLabelsDialog
      name={folder.name}
      labels={folder.labels}
      pending={update.isPending}
      error={update.error}
      onSubmit={(labels) => update.mutate({ labels })}
      onClose={onClose}
    />
  );
}

export function DeleteDialog({ folder, onClose, onDeleted }: Props & { onDeleted: () => void }) {
  const remove = useNotifiedMutation<unknown, void>({
    mutationFn: () =>
      unwrap(api.DELETE("/api/v1/folders/{folder_id}", { params: { path: { folder_id: folder.resource_id } } })),
    successMessage: `Folder ${folder.name} deleted`,
    errorTitle: null,
    invalidates: [keys.folders],
    onSuccess: () => {
      onClose();
      onDeleted();
    },
  });
  return (
    <ConfirmDialog
      onClose={onClose}
      title={`Delete ${folder.name}?`}
      action="Delete folder"
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate()}
    >
      You can delete only an empty folder. Roles on the folder are removed. You can't undo this action.
    </ConfirmDialog>
  );
}
