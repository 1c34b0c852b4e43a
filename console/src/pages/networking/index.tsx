/** The allowlist of a cluster: from where SQL clients are let in. */
import { Alert, Badge, Button, Stack, Switch, Text } from "@mantine/core";
import { IconAlertTriangle, IconNetwork, IconPencil, IconPlus, IconTrash } from "@tabler/icons-react";
import { createColumnHelper, type ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import type { Cluster } from "../../api/client";
import { OPERATES } from "../../api/inside";
import { useCanOnCluster, useSession } from "../../api/queries";
import { ClusterPage } from "../../components/ClusterPage";
import { Confirm } from "../../components/Confirm";
import { DataTable } from "../../components/DataTable";
import { Empty } from "../../components/Empty";
import { ErrorNote } from "../../components/ErrorNote";
import { RowMenu } from "../../components/RowMenu";
import { asIpv4, cidr, contains, lets, warnings, without, withEntry, type Entry } from "./allowlist";
import { useAllowlist, useDeleteEntry, useUpdateEntry } from "./changes";
import { AddEntry, EditEntry, Warnings } from "./EntryDialog";
import classes from "./Networking.module.css";

type Open =
  | { what: "add"; kind: "new" | "mine" | "public" }
  | { what: "edit" | "delete"; entry: Entry }
  | { what: "switch"; entry: Entry };

const column = createColumnHelper<Entry>();

export default function NetworkingPage() {
  const [open, setOpen] = useState<Open | null>(null);
  return (
    <ClusterPage
      title="Networking"
      text="SQL clients are let in from these networks only. A change holds at once, for open sessions too."
      actions={(cluster) => <AddButton cluster={cluster} onAdd={() => setOpen({ what: "add", kind: "new" })} />}
    >
      {(cluster) => <Networks cluster={cluster} open={open} setOpen={setOpen} />}
    </ClusterPage>
  );
}

function AddButton({ cluster, onAdd }: { cluster: Cluster; onAdd: () => void }) {
  const may = useCanOnCluster(cluster, OPERATES);
  return may ? (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={onAdd}>
      Add network
    </Button>
  ) : null;
}

/** Where the caller is seen to come from, as far as an allowlist can say it. */
function useAddress(): string | null {
  const whoami = useSession();
  return asIpv4(whoami?.address ?? whoami?.session.ip_address);
}

function Networks(props: { cluster: Cluster; open: Open | null; setOpen: (open: Open | null) => void }) {
  const { cluster, open, setOpen } = props;
  const may = useCanOnCluster(cluster, OPERATES);
  const address = useAddress();
  const allowlist = useAllowlist(cluster.id);
  const entries = allowlist.data ?? [];
  const change = useUpdateEntry(cluster.id);
  const columns = useMemo(() => {
    const toggle = (entry: Entry) => {
      const risky = warnings(entries, withEntry(entries, entry), address).length > 0;
      if (risky) setOpen({ what: "switch", entry });
      else change.mutate(entry, { onError: () => setOpen({ what: "switch", entry }) });
    };
    return columnsOf(may, address, setOpen, toggle);
  }, [may, address, allowlist.data, setOpen]);
  const close = () => {
    setOpen(null);
    change.reset();
  };
  if (allowlist.error && !allowlist.data) {
    return (
      <ErrorNote
        title="The allowlist can not be shown"
        error={allowlist.error}
        retry={() => void allowlist.refetch()}
      />
    );
  }
  const common = { cluster: cluster.id, entries, address, onClose: close };
  return (
    <>
      {allowlist.data && (
        <Standing
          entries={entries}
          address={address}
          may={may}
          onAddMine={() => setOpen({ what: "add", kind: "mine" })}
        />
      )}
      <DataTable
        label="Allowlist"
        columns={columns}
        data={entries}
        rowId={cidr}
        loading={allowlist.isPending}
        empty={
          <Empty
            icon={IconNetwork}
            title="Nobody is let in"
            text="No network is on the allowlist, so no SQL client can connect. Add the networks of your programs."
            action={
              <AddButton cluster={cluster} onAdd={() => setOpen({ what: "add", kind: address ? "mine" : "new" })} />
            }
          />
        }
      />
      {open?.what === "add" && <AddEntry {...common} kind={open.kind} />}
      {open?.what === "edit" && <EditEntry {...common} entry={open.entry} />}
      {open?.what === "delete" && <DeleteEntry {...common} entry={open.entry} />}
      {open?.what === "switch" && (
        <Confirm
          opened
          onClose={close}
          title={`Change ${cidr(open.entry)}?`}
          action="Change network"
          pending={change.isPending}
          error={change.error}
          onConfirm={() => change.mutate(open.entry, { onSuccess: close })}
        >
          <Warnings found={warnings(entries, withEntry(entries, open.entry), address)} />
        </Confirm>
      )}
    </>
  );
}

interface DeleteProps {
  cluster: string;
  entries: Entry[];
  address: string | null;
  entry: Entry;
  onClose: () => void;
}

function DeleteEntry({ cluster, entries, address, entry, onClose }: DeleteProps) {
  const remove = useDeleteEntry(cluster);
  return (
    <Confirm
      opened
      onClose={onClose}
      title={`Take ${cidr(entry)} off the allowlist?`}
      action="Delete network"
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(entry, { onSuccess: onClose })}
    >
      <Stack>
        <Text size="sm">SQL sessions that no other network allows end at once.</Text>
        <Warnings found={warnings(entries, without(entries, entry), address)} />
      </Stack>
    </Confirm>
  );
}

interface StandingProps {
  entries: Entry[];
  address: string | null;
  may: boolean;
  onAddMine: () => void;
}

/** What the list means as it is, where that may surprise. */
function Standing({ entries, address, may, onAddMine }: StandingProps) {
  const sign = <IconAlertTriangle size={18} aria-hidden />;
  if (entries.some((entry) => entry.sql && entry.cidr_mask === 0)) {
    return (
      <Alert color="orange" variant="light" icon={sign} title="Open to every address">
        <Text size="sm">
          Only passwords keep strangers out. Add the networks of your programs, then delete 0.0.0.0/0.
        </Text>
      </Alert>
    );
  }
  if (entries.length > 0 && address !== null && !lets(entries, address)) {
    return (
      <Alert color="blue" variant="light" icon={sign} title={`Your current address, ${address}, is not let in`}>
        <Text size="sm">SQL clients on this machine can not connect.</Text>
        {may && (
          <Button size="xs" variant="default" mt="sm" onClick={onAddMine}>
            Add my address
          </Button>
        )}
      </Alert>
    );
  }
  return null;
}

function columnsOf(
  may: boolean,
  address: string | null,
  setOpen: (open: Open) => void,
  toggle: (entry: Entry) => void,
): ColumnDef<Entry, any>[] {
  const network = column.accessor(cidr, {
    id: "network",
    header: "Network",
    meta: { width: "minmax(0, 2fr)" },
    cell: ({ row: { original: entry } }) => (
      <span className={classes.network}>
        <code>{cidr(entry)}</code>
        {address !== null && contains(entry, address) && (
          <Badge variant="light" color="gray" radius="sm" tt="none" c="var(--mantine-color-text)">
            {entry.cidr_mask === 0 ? "every address" : "your address"}
          </Badge>
        )}
      </span>
    ),
  });
  const name = column.accessor("name", {
    header: "Name",
    meta: { width: "minmax(0, 2fr)" },
    cell: (cell) => cell.getValue() || <span className={classes.none}>–</span>,
  });
  const flag = (key: "sql" | "ui", header: string) =>
    column.accessor(key, {
      header,
      meta: { width: "110px" },
      cell: ({ row: { original: entry } }) => (
        <Switch
          aria-label={`${header} from ${cidr(entry)}`}
          checked={entry[key]}
          disabled={!may}
          onChange={() => toggle({ ...entry, [key]: !entry[key] })}
        />
      ),
    });
  const actions = column.display({
    id: "actions",
    header: () => <span className="visually-hidden">Actions</span>,
    meta: { width: "40px", align: "right", bare: true, corner: true },
    cell: ({ row: { original: entry } }) => (
      <RowMenu
        name={cidr(entry)}
        actions={[
          { label: "Edit", icon: IconPencil, run: () => setOpen({ what: "edit", entry }) },
          {
            label: "Delete network",
            icon: IconTrash,
            danger: true,
            run: () => setOpen({ what: "delete", entry }),
          },
        ]}
      />
    ),
  });
  const shown = [network, name, flag("sql", "SQL"), flag("ui", "DB Console")];
  return may ? [...shown, actions] : shown;
}
