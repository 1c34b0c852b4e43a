import { Alert, SegmentedControl, Switch, Text, TextInput } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useState } from "react";
import { MAX_NETWORK_NAME_LENGTH } from "../../api/validation";
import { FormDialog } from "../../components/DialogForm";
import { ANY_ADDRESS, cidr, parse, size, warnings, withEntry, type Entry, type Warning } from "./allowlist";
import { useAddEntry, useUpdateEntry } from "./mutations";

export type NetworkKind = "new" | "current" | "public";

interface Props {
  cluster: string;
  entries: Entry[];
  /** The IPv4 address of the caller, if it has one. */
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

const DESCRIPTIONS: Record<NetworkKind, string> = {
  new: "Enter an IPv4 address or a network in CIDR notation, such as 203.0.113.0/24.",
  current: "The IP address of your browser as the server sees it.",
  public: "All addresses.",
};

/** Adds a network: a new one, the address of the caller, or all addresses. */
export function AddDialog({ cluster, entries, address, kind: initial, onClose }: Props & { kind: NetworkKind }) {
  const [kind, setKind] = useState<NetworkKind>(initial === "current" && address === null ? "new" : initial);
  const [text, setText] = useState("");
  const [details, setDetails] = useState({ name: "", sql: true, ui: false });
  const [showErrors, setShowErrors] = useState(false);
  const add = useAddEntry(cluster);
  const input = kind === "public" ? cidr(ANY_ADDRESS) : kind === "current" ? `${address}/32` : text;
  const network = parse(input);
  const entry = "error" in network ? null : { ...network, ...details };
  const exists = entry !== null && entries.some((other) => cidr(other) === cidr(entry));
  const error = "error" in network ? network.error : exists ? "This network is already on the allowlist." : null;
  const submit = () => {
    setShowErrors(true);
    if (entry && !error) add.mutate(entry, { onSuccess: onClose });
  };
  return (
    <FormDialog
      title="Add network"
      action="Add network"
      noValidate
      pending={add.isPending}
      error={add.error}
      errorTitle="Couldn't add the network"
      onSubmit={submit}
      onClose={onClose}
    >
      <SegmentedControl
        aria-label="Type of network"
        fullWidth
        value={kind}
        onChange={(value) => setKind(value as NetworkKind)}
        data={[
          { value: "new", label: "New network" },
          { value: "current", label: "Current network", disabled: address === null },
          { value: "public", label: "Public" },
        ]}
      />
      <TextInput
        label="Network"
        description={DESCRIPTIONS[kind]}
        value={input}
        readOnly={kind !== "new"}
        onChange={(event) => setText(event.currentTarget.value)}
        error={showErrors || kind !== "new" ? error : null}
        rightSectionWidth={130}
        rightSection={
          entry && !error ? (
            <Text size="xs" c="dimmed">
              {size(entry)}
            </Text>
          ) : null
        }
        autoComplete="off"
        spellCheck={false}
        data-autofocus
      />
      <DetailFields value={details} onChange={setDetails} />
      {entry && !error && <Warnings found={warnings(entries, withEntry(entries, entry), address)} />}
    </FormDialog>
  );
}

/** Edits the name and the access of a network. */
export function EditDialog({ cluster, entries, address, entry, onClose }: Props & { entry: Entry }) {
  const [details, setDetails] = useState({ name: entry.name, sql: entry.sql, ui: entry.ui });
  const update = useUpdateEntry(cluster);
  const edited = { ...entry, ...details };
  return (
    <FormDialog
      title={`Edit ${cidr(entry)}`}
      action="Save"
      noValidate
      pending={update.isPending}
      error={update.error}
      errorTitle="Couldn't update the network"
      onSubmit={() => update.mutate(edited, { onSuccess: onClose })}
      onClose={onClose}
    >
      <DetailFields value={details} onChange={setDetails} />
      <Warnings found={warnings(entries, withEntry(entries, edited), address)} />
    </FormDialog>
  );
}

type Details = Pick<Entry, "name" | "sql" | "ui">;

function DetailFields({ value, onChange }: { value: Details; onChange: (value: Details) => void }) {
  return (
    <>
      <TextInput
        label="Name"
        description={`Optional. Use at most ${MAX_NETWORK_NAME_LENGTH} characters.`}
        maxLength={MAX_NETWORK_NAME_LENGTH}
        value={value.name}
        onChange={(event) => onChange({ ...value, name: event.currentTarget.value })}
      />
      <Switch
        label="SQL"
        description="Allow SQL clients in this network to connect."
        checked={value.sql}
        onChange={(event) => onChange({ ...value, sql: event.currentTarget.checked })}
      />
      <Switch
        label="DB Console"
        description="Stored for compatibility. This server has no DB Console."
        checked={value.ui}
        onChange={(event) => onChange({ ...value, ui: event.currentTarget.checked })}
      />
    </>
  );
}
