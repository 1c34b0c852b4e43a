/** Databases of a cluster. */
import { Anchor, Button } from "@mantine/core";
import { IconDatabase, IconPencil, IconPlus, IconTerminal2, IconTrash } from "@tabler/icons-react";
import { Link, useNavigate } from "@tanstack/react-router";
import { createColumnHelper, type ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import type { Cluster, Schemas } from "../../api/client";
import { ADMINISTERS, OPERATES, useDatabases } from "../../api/inside";
import { useCanOnCluster } from "../../api/queries";
import { ClusterPage } from "../../components/ClusterPage";
import { DataTable } from "../../components/DataTable";
import { Empty } from "../../components/Empty";
import { ErrorNote } from "../../components/ErrorNote";
import { RowMenu, type RowAction } from "../../components/RowMenu";
import { CreateDatabase, DeleteDatabase, RenameDatabase } from "./dialogs";

type Database = Schemas["Database"];
type Open = { what: "create" } | { what: "rename" | "delete"; database: Database };

const column = createColumnHelper<Database>();

export default function DatabasesPage() {
  const [open, setOpen] = useState<Open | null>(null);
  return (
    <ClusterPage
      title="Databases"
      text="A session is in one database. Tables are made in SQL, by a SQL user or in the SQL shell."
      actions={(cluster) => <CreateButton cluster={cluster} onCreate={() => setOpen({ what: "create" })} />}
    >
      {(cluster) => <Databases cluster={cluster} open={open} setOpen={setOpen} />}
    </ClusterPage>
  );
}

function CreateButton({ cluster, onCreate }: { cluster: Cluster; onCreate: () => void }) {
  const may = useCanOnCluster(cluster, OPERATES);
  return may ? (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={onCreate}>
      Create database
    </Button>
  ) : null;
}

function Databases(props: { cluster: Cluster; open: Open | null; setOpen: (open: Open | null) => void }) {
  const { cluster, open, setOpen } = props;
  const may = useCanOnCluster(cluster, OPERATES);
  const shell = useCanOnCluster(cluster, ADMINISTERS);
  const navigate = useNavigate();
  const databases = useDatabases(cluster.id);
  const columns = useMemo(() => {
    const query = (name: string) =>
      void navigate({
        to: "/clusters/$clusterId/sql",
        params: { clusterId: cluster.id },
        search: { db: name },
      });
    return columnsOf(cluster.id, may, shell, setOpen, query);
  }, [cluster.id, may, shell, setOpen, navigate]);
  const close = () => setOpen(null);
  if (databases.error && !databases.data) {
    return (
      <ErrorNote title="Databases can not be shown" error={databases.error} retry={() => void databases.refetch()} />
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
          <Empty
            icon={IconDatabase}
            title="No database"
            text="A program needs one to connect to."
            action={<CreateButton cluster={cluster} onCreate={() => setOpen({ what: "create" })} />}
          />
        }
      />
      {open?.what === "create" && <CreateDatabase cluster={cluster.id} onClose={close} />}
      {open?.what === "rename" && <RenameDatabase cluster={cluster.id} name={open.database.name} onClose={close} />}
      {open?.what === "delete" && (
        <DeleteDatabase
          cluster={cluster.id}
          name={open.database.name}
          tables={open.database.table_count ?? null}
          onClose={close}
        />
      )}
    </>
  );
}

function columnsOf(
  cluster: string,
  may: boolean,
  shell: boolean,
  setOpen: (open: Open) => void,
  query: (name: string) => void,
): ColumnDef<Database, any>[] {
  const name = column.accessor("name", {
    header: "Name",
    cell: (cell) =>
      shell ? (
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
    cell: (cell) => (
      <span className="tabular">{cell.getValue() < 0 ? "not known" : cell.getValue().toLocaleString("en-US")}</span>
    ),
  });
  const actions = column.display({
    id: "actions",
    header: () => <span className="visually-hidden">Actions</span>,
    meta: { width: "40px", align: "right", bare: true, corner: true },
    cell: ({ row: { original: database } }) => {
      const sql: RowAction = {
        label: "Open in the SQL shell",
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
      return <RowMenu name={database.name} actions={[...(shell ? [sql] : []), ...(may ? change : [])]} />;
    },
  });
  return may || shell ? [name, tables, actions] : [name, tables];
}
