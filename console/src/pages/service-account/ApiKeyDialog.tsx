import { Group, Modal, NativeSelect, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { DialogDone, DialogForm } from "../../components/DialogForm";
import { Secret } from "../../components/Secret";
import { useCreateKey, type ServiceAccount } from "../../features/access/data";
import { formatDateTime, toLocalInput } from "../../lib/format";

const DAY_MS = 86_400_000;
const EXPIRATIONS = [
  { value: "30", label: "In 30 days" },
  { value: "90", label: "In 90 days" },
  { value: "365", label: "In 1 year" },
  { value: "", label: "Never" },
  { value: "custom", label: "Custom…" },
];

interface Props {
  account: ServiceAccount;
  onClose: () => void;
}

/** Creates an API key and shows its secret once. */
export function ApiKeyDialog({ account, onClose }: Props) {
  const create = useCreateKey();
  return (
    <Modal
      opened
      onClose={onClose}
      title={`Create API key for ${account.name}`}
      size="lg"
      closeOnClickOutside={!create.data}
    >
      {create.data ? (
        <CreatedKey created={create.data} onClose={onClose} />
      ) : (
        <KeyForm account={account} create={create} onClose={onClose} />
      )}
    </Modal>
  );
}

/** The expiration time as the API expects it. */
function expirationTime(choice: string, custom: string): string | undefined {
  if (choice === "") return undefined;
  if (choice === "custom") return custom ? new Date(custom).toISOString() : undefined;
  return new Date(Date.now() + Number(choice) * DAY_MS).toISOString();
}

type CreateKey = ReturnType<typeof useCreateKey>;

function KeyForm({ account, create, onClose }: Props & { create: CreateKey }) {
  const [name, setName] = useState("");
  const [expiration, setExpiration] = useState("90");
  const [custom, setCustom] = useState("");
  const [now] = useState(() => Date.now());
  const submit = () =>
    create.mutate({
      name: name.trim(),
      service_account_id: account.id,
      expiration_time: expirationTime(expiration, custom),
    });
  return (
    <DialogForm
      action="Create key"
      pending={create.isPending}
      error={create.error}
      errorTitle="Couldn't create the API key"
      onSubmit={submit}
      onCancel={onClose}
    >
      <TextInput
        label="Name"
        description="For example, the program that will use the key."
        required
        maxLength={255}
        data-autofocus
        autoComplete="off"
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <Group grow align="flex-end">
        <NativeSelect
          label="Expires"
          data={EXPIRATIONS}
          value={expiration}
          onChange={(event) => setExpiration(event.currentTarget.value)}
        />
        {expiration === "custom" && (
          <TextInput
            label="Expiration time"
            type="datetime-local"
            required
            min={toLocalInput(now)}
            value={custom}
            onChange={(event) => setCustom(event.currentTarget.value)}
          />
        )}
      </Group>
    </DialogForm>
  );
}

function CreatedKey({ created, onClose }: { created: NonNullable<CreateKey["data"]>; onClose: () => void }) {
  const { api_key: key, secret } = created;
  return (
    <Stack>
      <Secret label={`Secret of ${key.name}`} value={secret} />
      <Text size="sm" c="dimmed">
        Send it in the header <code>Authorization: Bearer SECRET</code>.{" "}
        {key.expiration_time ? `It expires on ${formatDateTime(key.expiration_time)}.` : "It doesn't expire."}
      </Text>
      <DialogDone onClose={onClose} />
    </Stack>
  );
}
