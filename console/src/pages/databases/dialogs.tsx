import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { databaseProblem } from "../../api/names";
import { Confirm } from "../../components/Confirm";
import { ErrorNote } from "../../components/ErrorNote";
import { useCreateDatabase, useDeleteDatabase, useRenameDatabase } from "./changes";

interface Props {
  cluster: string;
  onClose: () => void;
}

export function CreateDatabase({ cluster, onClose }: Props) {
  const create = useCreateDatabase(cluster);
  return (
    <NameDialog
      title="Create a database"
      label="Database name"
      action="Create database"
      pending={create.isPending}
      failed="The database was not created"
      error={create.error}
      onClose={onClose}
      onSubmit={(name) => create.mutate(name, { onSuccess: onClose })}
    />
  );
}

export function RenameDatabase({ cluster, name, onClose }: Props & { name: string }) {
  const rename = useRenameDatabase(cluster);
  return (
    <NameDialog
      title={`Rename ${name}`}
      label="New name"
      text="It can be renamed while no session is in it. Afterwards programs must connect under the new name."
      initial={name}
      action="Rename"
      pending={rename.isPending}
      failed="The database was not renamed"
      error={rename.error}
      onClose={onClose}
      onSubmit={(newName) => (newName === name ? onClose() : rename.mutate({ name, newName }, { onSuccess: onClose }))}
    />
  );
}

export function DeleteDatabase({ cluster, name, tables, onClose }: Props & { name: string; tables: string | null }) {
  const remove = useDeleteDatabase(cluster);
  const count = tables === null ? "everything in it" : tables === "1" ? "its 1 table" : `its ${tables} tables`;
  return (
    <Confirm
      opened
      onClose={onClose}
      title={`Delete database ${name}?`}
      name={name}
      action="Delete database"
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(name, { onSuccess: onClose })}
    >
      {`${name} and ${tables === "0" ? "everything in it" : count} are deleted at once. This can not be undone.`}
    </Confirm>
  );
}

interface NameDialogProps {
  title: string;
  label: string;
  text?: string;
  initial?: string;
  action: string;
  pending: boolean;
  failed: string;
  error: unknown;
  onClose: () => void;
  onSubmit: (name: string) => void;
}

function NameDialog({ title, label, text, initial = "", action, pending, failed, error, ...on }: NameDialogProps) {
  const [name, setName] = useState(initial);
  const [strict, setStrict] = useState(false);
  return (
    <Modal opened onClose={on.onClose} title={title}>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          setStrict(true);
          if (!databaseProblem(name) && !pending) on.onSubmit(name);
        }}
      >
        <Stack>
          {text && <Text size="sm">{text}</Text>}
          <TextInput
            label={label}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            error={strict ? databaseProblem(name) : null}
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
            data-autofocus
          />
          {error ? <ErrorNote title={failed} error={error} /> : null}
          <Group justify="flex-end">
            <Button variant="default" onClick={on.onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={pending}>
              {action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
