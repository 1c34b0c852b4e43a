/** The IP allowlist of a cluster: the networks from which SQL clients can connect. */
import { Alert, Badge, Button, Stack, Switch, Text } from "@mantine/core";
import { IconAlertTriangle, IconNetwork, IconPencil, IconPlus, IconTrash } from "@tabler/icons-react";
import { createColumnHelper, type ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import type { Cluster } from "../../api/client";
import { useAllowed } from "../../api/permissions";
import { useSession } from "../../api/queries";
import { ClusterPage } from "../../features/cluster/ClusterPage";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { DataTable } from "../../components/DataTable";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { RowMenu } from "../../components/RowMenu";
import { asIpv4, cidr, contains, allows, warnings, without, withEntry, type Entry } from "./allowlist";
import { useAllowlist, useDeleteEntry, useUpdateEntry } from "./mutations";
import { AddDialog, EditDialog, Warnings, type NetworkKind } from "./EntryDialog";
import classes from "./Networking.module.css";

type Open =
  { what: "add"; kind: NetworkKind } | { what: "edit" | "delete"; entry: Entry } | { what: "switch"; entry: Entry };

const column = createColumnHelper<Entry>();

export default function NetworkingPage() {
  const [open, setOpen] = useState<Open | null>(null);
  return (
    <ClusterPage
      title="Networking"
      text="SQL clients can connect only from these networks. Changes take effect immediately and also apply to open sessions."
      actions={(cluster) => <AddButton cluster={cluster} onAdd={() => setOpen({ what: "add", kind: "new" })} />}
    >
      {(cluster) => <Networks cluster={cluster} open={open} setOpen={setOpen} />}
    </ClusterPage>
  );
}

function AddButton({ cluster, onAdd }: { cluster: Cluster; onAdd: () => void }) {
  const canEdit = useAllowed(cluster, "AddAllowlistEntry");
  return canEdit ? (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={onAdd}>
      Add network
    </Button>
  ) : null;
}

/** The IPv4 address of the caller as the server sees it. Allowlists hold IPv4 networks only. */
function useAddress(): string | null {
  const session = useSession();
  return asIpv4(session?.address);
}

function Networks(props: { cluster: Cluster; open: Open | null; setOpen: (open: Open | null) => void }) {
  const { cluster, open, setOpen } = props;
  const canEdit = useAllowed(cluster, "AddAllowlistEntry");
  const address = useAddress();
  const allowlist = useAllowlist(cluster.id);
  const entries = useMemo(() => allowlist.data ?? [], [allowlist.data]);
  const change = useUpdateEntry(cluster.id);
  const { mutate } = change;
  const columns = useMemo(() => {
    const toggle = (entry: Entry) => {
      const risky = warnings(entries, withEntry(entries, entry), address).length > 0;
      if (risky) setOpen({ what: "switch", entry });
      else mutate(entry, { onError: () => setOpen({ what: "switch", entry }) });
    };
    return columnsOf(canEdit, address, setOpen, toggle);
  }, [canEdit, address, entries, setOpen, mutate]);
  const close = () => {
    setOpen(null);
    change.reset();
  };
  if (allowlist.error && !allowlist.data) {
    return (
      <ErrorAlert title="Couldn't load the allowlist" error={allowlist.error} retry={() => void allowlist.refetch()} />
    );
  }
  const common = { cluster: cluster.id, entries, address, onClose: close };
  return (
    <>
      {allowlist.data && (
        <AllowlistAlert
          entries={entries}
          address={address}
          canEdit={canEdit}
          onAddCurrent={() => setOpen({ what: "add", kind: "current" })}
        />
      )}
      <DataTable
        label="Allowlist"
        columns={columns}
        data={entries}
        rowId={cidr}
        loading={allowlist.isPending}
        empty={
          <EmptyState
            icon={IconNetwork}
            title="No networks allowed"
            text="SQL clients can't connect. Add the networks that your programs connect from."
            action={
              <AddButton cluster={cluster} onAdd={() => setOpen({ what: "add", kind: address ? "current" : "new" })} />
            }
          />
        }
      />
      {open?.what === "add" && <AddDialog {...common} kind={open.kind} />}
      {open?.what === "edit" && <EditDialog {...common} entry={open.entry} />}
      {open?.what === "delete" && <DeleteDialog {...common} entry={open.entry} />}
      {open?.what === "switch" && (
        <ConfirmDialog
          onClose={close}
          title={`Update ${cidr(open.entry)}?`}
          action="Update network"
          pending={change.isPending}
          error={change.error}
          onConfirm={() => change.mutate(open.entry, { onSuccess: close })}
        >
          <Warnings found={warnings(entries, withEntry(entries, open.entry), address)} />
        </ConfirmDialog>
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

function DeleteDialog({ cluster, entries, address, entry, onClose }: DeleteProps) {
  const remove = useDeleteEntry(cluster);
  return (
    <ConfirmDialog
      onClose={onClose}
      title={`Delete ${cidr(entry)}?`}
      action="Delete network"
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(entry, { onSuccess: onClose })}
    >
      <Stack>
        <Text size="sm">Sessions that no other network allows are closed immediately.</Text>
        <Warnings found={warnings(entries, without(entries, entry), address)} />
      </Stack>
    </ConfirmDialog>
  );
}

interface AllowlistAlertProps {
  entries: Entry[];
  address: string | null;
  canEdit: boolean;
  onAddCurrent: () => void;
}

/** Points out an allowlist that is open to everyone, or that blocks the caller. */
function AllowlistAlert({ entries, address, canEdit, onAddCurrent }: AllowlistAlertProps) {
  const icon = <IconAlertTriangle size={18} aria-hidden />;
  if (entries.some((entry) => entry.sql && entry.cidr_mask === 0)) {
    return (
      <Alert color="orange" variant="light" icon={icon} title="Open to all addresses">
        <Text size="sm">
          Only passwords protect the cluster. Add the networks that your programs connect from, then delete 0.0.0.0/0.
        </Text>
      </Alert>
    );
  }
  if (entries.length > 0 && address !== null && !allows(entries, address)) {
    return (
      <Alert color="blue" variant="light" icon={icon} title={`Your IP address, ${address}, isn't allowed`}>
        <Text size="sm">SQL clients on this computer can't connect.</Text>
        {canEdit && (
          <Button size="xs" variant="default" mt="sm" onClick={onAddCurrent}>
            Add current network
          </Button>
        )}
      </Alert>
    );
  }
  return null;
}

function columnsOf(
  canEdit: boolean,
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
            {entry.cidr_mask === 0 ? "All addresses" : "Your address"}
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
          disabled={!canEdit}
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
  return canEdit ? [...shown, actions] : shown;
}
