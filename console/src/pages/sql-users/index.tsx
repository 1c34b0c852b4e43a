/** The SQL users of a cluster. */
import { Button } from "@mantine/core";
import { IconKey, IconPlus, IconTrash, IconUserCog } from "@tabler/icons-react";
import { createColumnHelper, type ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import type { Cluster, Schemas } from "../../api/client";
import { useAllowed } from "../../api/permissions";
import { useSqlUsers } from "../../api/sql-objects";
import { ClusterPage } from "../../features/cluster/ClusterPage";
import { DataTable } from "../../components/DataTable";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { RowMenu } from "../../components/RowMenu";
import { CreateDialog, DeleteDialog, PasswordDialog } from "./dialogs";

type User = Schemas["SQLUser"];
type Open = { kind: "create" } | { kind: "password" | "delete"; name: string };

const column = createColumnHelper<User>();

export default function UsersPage() {
  const [open, setOpen] = useState<Open | null>(null);
  return (
    <ClusterPage
      title="SQL users"
      text="SQL users connect to the databases of this cluster. To manage the users of this console, go to Access."
      actions={(cluster) => <Actions cluster={cluster} onCreate={() => setOpen({ kind: "create" })} />}
    >
      {(cluster) => <Users cluster={cluster} open={open} setOpen={setOpen} />}
    </ClusterPage>
  );
}

function CreateButton({ onCreate }: { onCreate: () => void }) {
  return (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={onCreate}>
      Create user
    </Button>
  );
}

function Actions({ cluster, onCreate }: { cluster: Cluster; onCreate: () => void }) {
  const canEdit = useAllowed(cluster, "CreateSQLUser");
  const hasUsers = (useSqlUsers(cluster.id).data ?? []).length > 0;
  return canEdit && hasUsers ? <CreateButton onCreate={onCreate} /> : null;
}

function Users(props: { cluster: Cluster; open: Open | null; setOpen: (open: Open | null) => void }) {
  const { cluster, open, setOpen } = props;
  const canEdit = useAllowed(cluster, "CreateSQLUser");
  const users = useSqlUsers(cluster.id);
  const columns = useMemo(() => columnsOf(canEdit, setOpen), [canEdit, setOpen]);
  const close = () => setOpen(null);
  if (users.error && !users.data) {
    return <ErrorAlert title="Couldn't load SQL users" error={users.error} retry={() => void users.refetch()} />;
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
          <EmptyState
            icon={IconUserCog}
            title="No SQL users"
            text={
              canEdit
                ? "Create a SQL user to connect to this cluster."
                : "You need a SQL user to connect. Ask a cluster admin to create one."
            }
            action={canEdit && <CreateButton onCreate={() => setOpen({ kind: "create" })} />}
          />
        }
      />
      {open?.kind === "create" && <CreateDialog cluster={cluster.id} onClose={close} />}
      {open?.kind === "password" && <PasswordDialog cluster={cluster.id} name={open.name} onClose={close} />}
      {open?.kind === "delete" && <DeleteDialog cluster={cluster.id} name={open.name} onClose={close} />}
    </>
  );
}

function columnsOf(canEdit: boolean, setOpen: (open: Open) => void): ColumnDef<User, any>[] {
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
            run: () => setOpen({ kind: "password", name: row.original.name }),
          },
          {
            label: "Delete user",
            icon: IconTrash,
            danger: true,
            run: () => setOpen({ kind: "delete", name: row.original.name }),
          },
        ]}
      />
    ),
  });
  return canEdit ? [name, actions] : [name];
}
