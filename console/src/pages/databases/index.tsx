/** The databases of a cluster. */
import { Anchor, Button } from "@mantine/core";
import { IconDatabase, IconPencil, IconPlus, IconTerminal2, IconTrash } from "@tabler/icons-react";
import { Link, useNavigate } from "@tanstack/react-router";
import { createColumnHelper, type ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import type { Cluster, Schemas } from "../../api/client";
import { useAllowed } from "../../api/permissions";
import { useDatabases } from "../../api/sql-objects";
import { parseAmount } from "../../features/cluster/format";
import { ClusterPage } from "../../features/cluster/ClusterPage";
import { DataTable } from "../../components/DataTable";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { RowMenu, type RowAction } from "../../components/RowMenu";
import { formatNumber } from "../../lib/format";
import { CreateDialog, DeleteDialog, RenameDialog } from "./dialogs";

type Database = Schemas["Database"];
type Open = { what: "create" } | { what: "rename" | "delete"; database: Database };

const column = createColumnHelper<Database>();

export default function DatabasesPage() {
  const [open, setOpen] = useState<Open | null>(null);
  return (
    <ClusterPage
      title="Databases"
      text="Create databases here. To create tables, use the SQL shell or connect as a SQL user."
      actions={(cluster) => <CreateButton cluster={cluster} onCreate={() => setOpen({ what: "create" })} />}
    >
      {(cluster) => <Databases cluster={cluster} open={open} setOpen={setOpen} />}
    </ClusterPage>
  );
}

function CreateButton({ cluster, onCreate }: { cluster: Cluster; onCreate: () => void }) {
  const canEdit = useAllowed(cluster, "CreateDatabase");
  return canEdit ? (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={onCreate}>
      Create database
    </Button>
  ) : null;
}

function Databases(props: { cluster: Cluster; open: Open | null; setOpen: (open: Open | null) => void }) {
  const { cluster, open, setOpen } = props;
  const canEdit = useAllowed(cluster, "CreateDatabase");
  const canQuery = useAllowed(cluster, "RunStatement");
  const navigate = useNavigate();
  const databases = useDatabases(cluster.id);
  const columns = useMemo(() => {
    const query = (name: string) =>
      void navigate({
        to: "/clusters/$clusterId/sql",
        params: { clusterId: cluster.id },
        search: { db: name },
      });
    return columnsOf(cluster.id, canEdit, canQuery, setOpen, query);
  }, [cluster.id, canEdit, canQuery, setOpen, navigate]);
  const close = () => setOpen(null);
  if (databases.error && !databases.data) {
    return (
      <ErrorAlert title="Couldn't load databases" error={databases.error} retry={() => void databases.refetch()} />
    );
  }
  return (
    <>
      <DataTable
        label="Databases"
        columns={columns}
        data={databases.data ?? []}
        rowId={(database) => database.name}
        initialSort={[{ id: "name", desc: false }]}
        loading={databases.isPending}
        empty={
          <EmptyState
            icon={IconDatabase}
            title="No databases"
            text="Create a database to connect to."
            action={<CreateButton cluster={cluster} onCreate={() => setOpen({ what: "create" })} />}
          />
        }
      />
      {open?.what === "create" && <CreateDialog cluster={cluster.id} onClose={close} />}
      {open?.what === "rename" && <RenameDialog cluster={cluster.id} name={open.database.name} onClose={close} />}
      {open?.what === "delete" && (
        <DeleteDialog
          cluster={cluster.id}
          name={open.database.name}
          tables={parseAmount(open.database.table_count)}
          onClose={close}
        />
      )}
    </>
  );
}

function columnsOf(
  cluster: string,
  canEdit: boolean,
  canQuery: boolean,
  setOpen: (open: Open) => void,
  query: (name: string) => void,
): ColumnDef<Database, any>[] {
  const name = column.accessor("name", {
    header: "Name",
    cell: (cell) =>
      canQuery ? (
        <Anchor
          size="sm"
          renderRoot={(props) => (
            <Link
              {...props}
              to="/clusters/$clusterId/sql"
              params={{ clusterId: cluster }}
              search={{ db: cell.getValue() }}
            />
          )}
        >
          <code>{cell.getValue()}</code>
        </Anchor>
      ) : (
        <code>{cell.getValue()}</code>
      ),
  });
  const tables = column.accessor((row) => (row.table_count == null ? -1 : Number(row.table_count)), {
    id: "tables",
    header: "Tables",
    meta: { width: "110px", align: "right" },
    cell: (cell) => <span className="tabular">{cell.getValue() < 0 ? "–" : formatNumber(cell.getValue())}</span>,
  });
  const actions = column.display({
    id: "actions",
    header: () => <span className="visually-hidden">Actions</span>,
    meta: { width: "40px", align: "right", bare: true, corner: true },
    cell: ({ row: { original: database } }) => {
      const sql: RowAction = {
        label: "Open in SQL shell",
        icon: IconTerminal2,
        run: () => query(database.name),
      };
      const change: RowAction[] = [
        { label: "Rename", icon: IconPencil, run: () => setOpen({ what: "rename", database }) },
        {
          label: "Delete database",
          icon: IconTrash,
          danger: true,
          run: () => setOpen({ what: "delete", database }),
        },
      ];
      return <RowMenu name={database.name} actions={[...(canQuery ? [sql] : []), ...(canEdit ? change : [])]} />;
    },
  });
  return canEdit || canQuery ? [name, tables, actions] : [name, tables];
}
