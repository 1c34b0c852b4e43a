/** Creates an API key; its secret is shown once. */
import { Button, Group, Modal, NativeSelect, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { ErrorNote } from "../../components/ErrorNote";
import { SecretOnce } from "../../components/SecretOnce";
import { moment } from "../../components/time";
import { useCreateKey, type ServiceAccount } from "./data";

const DAY = 86_400_000;
const ENDS = [
  { value: "30", label: "In 30 days" },
  { value: "90", label: "In 90 days" },
  { value: "365", label: "In a year" },
  { value: "", label: "Never" },
  { value: "at", label: "At a moment…" },
];

interface Props {
  account: ServiceAccount;
  opened: boolean;
  onClose: () => void;
}

export function KeyDialog({ account, opened, onClose }: Props) {
  return (
    <Modal opened={opened} onClose={onClose} title={`Create an API key for ${account.name}`} size="lg">
      {opened && <Form account={account} onClose={onClose} />}
    </Modal>
  );
}

/** When the key shall end, as the API wants it. */
function endOf(choice: string, moment: string): string | undefined {
  if (choice === "") return undefined;
  if (choice === "at") return moment ? new Date(moment).toISOString() : undefined;
  return new Date(Date.now() + Number(choice) * DAY).toISOString();
}

function Form({ account, onClose }: Omit<Props, "opened">) {
  const [name, setName] = useState("");
  const [ends, setEnds] = useState("90");
  const [at, setAt] = useState("");
  const create = useCreateKey();
  if (create.data) {
    const { api_key: key, secret } = create.data;
    return (
      <Stack>
        <SecretOnce label={`Secret of ${key.name}`} value={secret} />
        <Text size="sm" c="dimmed">
          Programs send it as <code>Authorization: Bearer …</code>.{" "}
          {key.expiration_time ? `It ends ${moment(key.expiration_time)}.` : "It does not end by itself."}
        </Text>
        <Group justify="flex-end">
          <Button onClick={onClose}>Done</Button>
        </Group>
      </Stack>
    );
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        create.mutate({ name: name.trim(), service_account_id: account.id, expiration_time: endOf(ends, at) });
      }}
    >
      <Stack>
        <TextInput
          label="Name"
          description="Says later which program holds it"
          required
          data-autofocus
          autoComplete="off"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <Group grow align="flex-end">
          <NativeSelect
            label="Ends"
            data={ENDS}
            value={ends}
            onChange={(event) => setEnds(event.currentTarget.value)}
          />
          {ends === "at" && (
            <TextInput
              label="Moment"
              type="datetime-local"
              required
              value={at}
              onChange={(event) => setAt(event.currentTarget.value)}
            />
          )}
        </Group>
        {create.error && <ErrorNote error={create.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={create.isPending}>
            Create key
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
