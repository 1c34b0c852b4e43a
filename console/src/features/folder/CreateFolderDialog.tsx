import { TextInput } from "@mantine/core";
import { useState } from "react";
import { api, unwrap, type FolderResource } from "../../api/client";
import { keys } from "../../api/queries";
import { FOLDER_NAME_RULE, folderNameError } from "../../api/validation";
import { FormDialog } from "../../components/DialogForm";
import { useNotifiedMutation } from "../../components/useNotifiedMutation";
import { withRule } from "../../components/withRule";
import { FolderSelect } from "../cluster/FolderSelect";

interface NameProps {
  value: string;
  onChange: (value: string) => void;
}

/** The name of a folder, with its rule. */
export function FolderNameInput({ value, onChange }: NameProps) {
  return (
    <TextInput
      label="Name"

      required
      data-autofocus
      autoComplete="off"
      value={value}
      {...withRule(FOLDER_NAME_RULE, value.trim().length >= 3 ? folderNameError(value) : null)}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}

interface Props {
  /** The parent folder to suggest. */
  parent: string;
  onClose: () => void;
  onCreated?: (folder: FolderResource) => void;
}

/** Creates a folder. */
export function CreateFolderDialog({ parent: suggested, onClose, onCreated }: Props) {
  const [name, setName] = useState("");
  const [parent, setParent] = useState(suggested);
  const create = useNotifiedMutation<FolderResource, void>({
    mutationFn: () => unwrap(api.POST("/api/v1/folders", { body: { name: name.trim(), parent_id: parent } })),
    successMessage: (folder) => `Folder ${folder.name} created`,
    errorTitle: null,
    invalidates: [keys.folders],
    onSuccess: (folder) => {
      onClose();
      onCreated?.(folder);
    },
  });
  return (
    <FormDialog
      title="Create folder"
      action="Create folder"
      disabled={folderNameError(name) !== null}
      pending={create.isPending}
      error={create.error}
      errorTitle="Couldn't create the folder"
      onSubmit={() => create.mutate()}
      onClose={onClose}
    >
      <FolderNameInput value={name} onChange={setName} />
      <FolderSelect label="Parent folder" value={parent} onChange={setParent} />
    </FormDialog>
  );
}
