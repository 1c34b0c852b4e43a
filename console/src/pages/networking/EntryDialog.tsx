import { Alert, Button, Group, Modal, SegmentedControl, Stack, Switch, Text, TextInput } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useState } from "react";
import { ErrorNote } from "../../components/ErrorNote";
import { cidr, EVERYBODY, parse, size, warnings, withEntry, type Entry, type Warning } from "./allowlist";
import { useAddEntry, useUpdateEntry } from "./changes";

type Kind = "new" | "mine" | "public";

interface Props {
  cluster: string;
  entries: Entry[];
  /** The caller's IPv4 address, where there is one. */
  address: string | null;
  onClose: () => void;
}

export function Warnings({ found }: { found: Warning[] }) {
  return found.map((warning) => (
    <Alert
      key={warning.kind}
      color="orange"
      variant="light"
      icon={<IconAlertTriangle size={18} aria-hidden />}
      role="status"
    >
      <Text size="sm">{warning.text}</Text>
    </Alert>
  ));
}

/** Adds a network: a new one, the caller's own address, or everybody's. */
export function AddEntry({ cluster, entries, address, kind: first, onClose }: Props & { kind: Kind }) {
  const [kind, setKind] = useState<Kind>(first === "mine" && address === null ? "new" : first);
  const [text, setText] = useState("");
  const [details, setDetails] = useState({ name: "", sql: true, ui: false });
  const [strict, setStrict] = useState(false);
  const add = useAddEntry(cluster);
  const wish = kind === "public" ? cidr(EVERYBODY) : kind === "mine" ? `${address}/32` : text;
  const network = parse(wish);
  const entry = "error" in network ? null : { ...network, ...details };
  const known = entry !== null && entries.some((other) => cidr(other) === cidr(entry));
  const problem = "error" in network ? network.error : known ? "is on the allowlist already" : null;
  return (
    <Modal opened onClose={onClose} title="Add a network">
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          setStrict(true);
          if (entry && !problem && !add.isPending) add.mutate(entry, { onSuccess: onClose });
        }}
      >
        <Stack>
          <SegmentedControl
            aria-label="Which network"
            fullWidth
            value={kind}
            onChange={(value) => setKind(value as Kind)}
            data={[
              { value: "new", label: "New network" },
              { value: "mine", label: "My address", disabled: address === null },
              { value: "public", label: "Public" },
            ]}
          />
          <TextInput
            label="Network"
            description={
              kind === "new"
                ? "An IPv4 address or a network, for example 203.0.113.0/24"
                : kind === "mine"
                  ? "The address that this browser is seen to come from"
                  : "Every address"
            }
            value={wish}
            readOnly={kind !== "new"}
            onChange={(event) => setText(event.currentTarget.value)}
            error={strict || kind !== "new" ? problem : null}
            rightSectionWidth={130}
            rightSection={
              entry && !problem ? (
                <Text size="xs" c="dimmed">
                  {size(entry)}
                </Text>
              ) : null
            }
            autoComplete="off"
            spellCheck={false}
            data-autofocus
          />
          <Details value={details} onChange={setDetails} />
          {entry && !problem && <Warnings found={warnings(entries, withEntry(entries, entry), address)} />}
          {add.error && <ErrorNote title="The network was not added" error={add.error} />}
          <Buttons action="Add network" pending={add.isPending} onClose={onClose} />
        </Stack>
      </form>
    </Modal>
  );
}

/** Changes the name of an entry and what it may reach. */
export function EditEntry({ cluster, entries, address, entry, onClose }: Props & { entry: Entry }) {
  const [details, setDetails] = useState({ name: entry.name, sql: entry.sql, ui: entry.ui });
  const update = useUpdateEntry(cluster);
  const after = { ...entry, ...details };
  return (
    <Modal opened onClose={onClose} title={`Edit ${cidr(entry)}`}>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          if (!update.isPending) update.mutate(after, { onSuccess: onClose });
        }}
      >
        <Stack>
          <Details value={details} onChange={setDetails} />
          <Warnings found={warnings(entries, withEntry(entries, after), address)} />
          {update.error && <ErrorNote title="The network was not changed" error={update.error} />}
          <Buttons action="Save" pending={update.isPending} onClose={onClose} />
        </Stack>
      </form>
    </Modal>
  );
}

type Rest = Pick<Entry, "name" | "sql" | "ui">;

function Details({ value, onChange }: { value: Rest; onChange: (value: Rest) => void }) {
  return (
    <>
      <TextInput
        label="Name"
        description="For people; may be empty"
        maxLength={255}
        value={value.name}
        onChange={(event) => onChange({ ...value, name: event.currentTarget.value })}
      />
      <Switch
        label="SQL"
        description="Programs there may connect to databases"
        checked={value.sql}
        onChange={(event) => onChange({ ...value, sql: event.currentTarget.checked })}
      />
      <Switch
        label="DB Console"
        description="Kept for tools that set it; there is no DB Console here"
        checked={value.ui}
        onChange={(event) => onChange({ ...value, ui: event.currentTarget.checked })}
      />
    </>
  );
}

function Buttons({ action, pending, onClose }: { action: string; pending: boolean; onClose: () => void }) {
  return (
    <Group justify="flex-end">
      <Button variant="default" onClick={onClose}>
        Cancel
      </Button>
      <Button type="submit" loading={pending}>
        {action}
      </Button>
    </Group>
  );
}
