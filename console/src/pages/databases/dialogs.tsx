import { Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { databaseNameError, SQL_NAME_RULE } from "../../api/validation";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { FormDialog } from "../../components/DialogForm";
import { withRule } from "../../components/withRule";
import { formatCount } from "../../lib/format";
import { useCreateDatabase, useDeleteDatabase, useRenameDatabase } from "./mutations";

interface Props {
  cluster: string;
  onClose: () => void;
}

export function CreateDialog({ cluster, onClose }: Props) {
  const create = useCreateDatabase(cluster);
  return (
    <NameDialog
      title="Create database"
      label="Database name"
      action="Create database"
      pending={create.isPending}
      error={create.error}
      errorTitle="Couldn't create the database"
      onClose={onClose}
      onSubmit={(name) => create.mutate(name, { onSuccess: onClose })}
    />
  );
}

export function RenameDialog({ cluster, name, onClose }: Props & { name: string }) {
  const rename = useRenameDatabase(cluster);
  return (
    <NameDialog
      title={`Rename ${name}`}
      label="New name"
      text="You can rename a database only while no sessions use it. Programs must then connect with the new name."
      initial={name}
      action="Rename"
      pending={rename.isPending}
      error={rename.error}
      errorTitle="Couldn't rename the database"
      onClose={onClose}
      onSubmit={(newName) => (newName === name ? onClose() : rename.mutate({ name, newName }, { onSuccess: onClose }))}
    />
  );
}

interface DeleteProps extends Props {
  name: string;
  /** The number of tables, if it is known. */
  tables: number | null;
}

export function DeleteDialog({ cluster, name, tables, onClose }: DeleteProps) {
  const remove = useDeleteDatabase(cluster);
  const contents = tables ? `its ${formatCount(tables, "table")}` : "everything in it";
  return (
    <ConfirmDialog
      onClose={onClose}
      title={`Delete database ${name}?`}
      name={name}
      action="Delete database"
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(name, { onSuccess: onClose })}
    >
      {`This deletes ${name} and ${contents}. You can't undo this action.`}
    </ConfirmDialog>
  );
}

interface NameDialogProps {
  title: string;
  label: string;
  text?: string;
  initial?: string;
  action: string;
  pending: boolean;
  error: unknown;
  errorTitle: string;
  onClose: () => void;
  onSubmit: (name: string) => void;
}

function NameDialog({ label, text, initial = "", onSubmit, ...dialog }: NameDialogProps) {
  const [name, setName] = useState(initial);
  const [showErrors, setShowErrors] = useState(false);
  const submit = () => {
    setShowErrors(true);
    if (!databaseNameError(name)) onSubmit(name);
  };
  return (
    <FormDialog {...dialog} noValidate onSubmit={submit}>
      {text && <Text size="sm">{text}</Text>}
      <TextInput
        label={label}

        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        {...withRule(SQL_NAME_RULE, showErrors ? databaseNameError(name) : null)}
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        data-autofocus
      />
    </FormDialog>
  );
}
