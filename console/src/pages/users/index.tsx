/** SQL users of a cluster. */
import { Button } from "@mantine/core";
import { IconKey, IconPlus, IconTrash, IconUserCog } from "@tabler/icons-react";
import { createColumnHelper, type ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import type { Cluster, Schemas } from "../../api/client";
import { ADMINISTERS, useSqlUsers } from "../../api/inside";
import { useCanOnCluster } from "../../api/queries";
import { ClusterPage } from "../../components/ClusterPage";
import { DataTable } from "../../components/DataTable";
import { Empty } from "../../components/Empty";
import { ErrorNote } from "../../components/ErrorNote";
import { RowMenu } from "../../components/RowMenu";
import { AddUser, ChangePassword, DeleteUser } from "./dialogs";

type User = Schemas["SQLUser"];
type Open = { what: "add" } | { what: "password" | "delete"; name: string };

const column = createColumnHelper<User>();

export default function UsersPage() {
  const [open, setOpen] = useState<Open | null>(null);
  return (
    <ClusterPage
      title="SQL users"
      text="They log in to the databases of this cluster. Who may use this console is set under Access."
      actions={(cluster) => <Actions cluster={cluster} onAdd={() => setOpen({ what: "add" })} />}
    >
      {(cluster) => <Users cluster={cluster} open={open} setOpen={setOpen} />}
    </ClusterPage>
  );
}

function AddButton({ onAdd }: { onAdd: () => void }) {
  return (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={onAdd}>
      Add user
    </Button>
  );
}

function Actions({ cluster, onAdd }: { cluster: Cluster; onAdd: () => void }) {
  const may = useCanOnCluster(cluster, ADMINISTERS);
  const some = (useSqlUsers(cluster.id).data ?? []).length > 0;
  return may && some ? <AddButton onAdd={onAdd} /> : null;
}

function Users(props: { cluster: Cluster; open: Open | null; setOpen: (open: Open | null) => void }) {
  const { cluster, open, setOpen } = props;
  const may = useCanOnCluster(cluster, ADMINISTERS);
  const users = useSqlUsers(cluster.id);
  const columns = useMemo(() => columnsOf(may, setOpen), [may, setOpen]);
  const close = () => setOpen(null);
  if (users.error && !users.data) {
    return <ErrorNote title="SQL users can not be shown" error={users.error} retry={() => void users.refetch()} />;
  }
  return (
    <>
      <DataTable
        label="SQL users"
        columns={columns}
        data={users.data ?? []}
        rowId={(user) => user.name}
        initialSort={[{ id: "name", desc: false }]}
        loading={users.isPending}
        empty={
          <Empty
            icon={IconUserCog}
            title="No SQL user yet"
            text={
              may
                ? "A program needs a SQL user to connect. Add the first one; its password is shown once."
                : "A program needs a SQL user to connect. A cluster admin can add one."
            }
            action={may && <AddButton onAdd={() => setOpen({ what: "add" })} />}
          />
        }
      />
      {open?.what === "add" && <AddUser cluster={cluster.id} onClose={close} />}
      {open?.what === "password" && <ChangePassword cluster={cluster.id} name={open.name} onClose={close} />}
      {open?.what === "delete" && <DeleteUser cluster={cluster.id} name={open.name} onClose={close} />}
    </>
  );
}

function columnsOf(may: boolean, setOpen: (open: Open) => void): ColumnDef<User, any>[] {
  const name = column.accessor("name", { header: "Name", cell: (cell) => <code>{cell.getValue()}</code> });
  const actions = column.display({
    id: "actions",
    header: () => <span className="visually-hidden">Actions</span>,
    meta: { width: "40px", align: "right", bare: true, corner: true },
    cell: ({ row }) => (
      <RowMenu
        name={row.original.name}
        actions={[
          {
            label: "Change password",
            icon: IconKey,
            run: () => setOpen({ what: "password", name: row.original.name }),
          },
          {
            label: "Delete user",
            icon: IconTrash,
            danger: true,
            run: () => setOpen({ what: "delete", name: row.original.name }),
          },
        ]}
      />
    ),
  });
  return may ? [name, actions] : [name];
}
