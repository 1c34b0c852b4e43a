/** Creates a service account, or changes its name and description. */
import { Button, Group, Modal, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useState } from "react";
import { ErrorNote } from "../../components/ErrorNote";
import { useCreateAccount, useUpdateAccount, type ServiceAccount } from "./data";
import { grantFault, type Grant } from "./roles";
import { RolesField } from "./RolesField";

interface Props {
  opened: boolean;
  onClose: () => void;
  /** The one to change; without it one is created. */
  account?: ServiceAccount;
  onDone?: (account: ServiceAccount) => void;
}

export function AccountDialog(props: Props) {
  const title = props.account ? "Edit service account" : "Create a service account";
  return (
    <Modal opened={props.opened} onClose={props.onClose} title={title} size="xl">
      {props.opened && <Form {...props} />}
    </Modal>
  );
}

function Form({ account, onClose, onDone }: Props) {
  const [name, setName] = useState(account?.name ?? "");
  const [description, setDescription] = useState(account?.description ?? "");
  const [roles, setRoles] = useState<Grant[]>([]);
  const onSuccess = (account: ServiceAccount) => {
    onClose();
    onDone?.(account);
  };
  const create = useCreateAccount({ done: `${name} is created`, onSuccess });
  const update = useUpdateAccount({ done: "Saved", onSuccess });
  const error = create.error ?? update.error;
  const fault = grantFault(roles);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (account) update.mutate({ id: account.id, name: name.trim(), description });
        else if (!fault) create.mutate({ name: name.trim(), description, roles });
      }}
    >
      <Stack>
        <TextInput
          label="Name"
          required
          data-autofocus
          autoComplete="off"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <Textarea
          label="Description"
          placeholder="What it is used for"
          autosize
          minRows={2}
          value={description}
          onChange={(event) => setDescription(event.currentTarget.value)}
        />
        {!account && (
          <div>
            <Text size="sm" fw={500} mb={6}>
              Roles
            </Text>
            <RolesField value={roles} onChange={setRoles} />
          </div>
        )}
        {error && <ErrorNote error={error} />}
        <Group justify="flex-end">
          {fault && (
            <Text size="sm" c="dimmed" role="status">
              {fault}
            </Text>
          )}
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={create.isPending || update.isPending} disabled={fault !== undefined}>
            {account ? "Save" : "Create"}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
