/** Programs that call the API. */
import { Anchor, Button, Text, TextInput } from "@mantine/core";
import { IconPlus, IconRobot, IconSearch } from "@tabler/icons-react";
import { Link, useNavigate } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { useState } from "react";
import { can, useSession } from "../../api/queries";
import { DataTable } from "../../components/DataTable";
import { Empty } from "../../components/Empty";
import { ErrorNote } from "../../components/ErrorNote";
import { TimeAgo } from "../../components/TimeAgo";
import classes from "./access.module.css";
import { AccountDialog } from "./AccountDialog";
import { useAccounts, type ServiceAccount } from "./data";
import { RoleList } from "./RoleList";

const COLUMNS: ColumnDef<ServiceAccount, any>[] = [
  {
    accessorKey: "name",
    header: "Name",
    meta: { width: "minmax(0, 1.4fr)" },
    cell: ({ row: { original } }) => (
      <div>
        <Anchor
          size="sm"
          fw={600}
          renderRoot={(props) => <Link {...props} to="/access/service-accounts/$id" params={{ id: original.id }} />}
        >
          {original.name}
        </Anchor>
        {original.description && (
          <Text size="xs" c="dimmed" lineClamp={2}>
            {original.description}
          </Text>
        )}
      </div>
    ),
  },
  {
    id: "roles",
    header: "Roles",
    enableSorting: false,
    meta: { width: "minmax(0, 2fr)" },
    cell: ({ row }) => <RoleList grants={row.original.roles} />,
  },
  { accessorKey: "creator_name", header: "Created by", meta: { width: "minmax(0, 1fr)" } },
  {
    accessorKey: "created_at",
    header: "Created",
    meta: { width: "120px" },
    cell: ({ getValue }) => <TimeAgo time={getValue()} />,
  },
];

export function ServiceAccounts() {
  const accounts = useAccounts();
  const whoami = useSession();
  const navigate = useNavigate();
  const [search, setSearch] = useState("");
  const [creating, setCreating] = useState(false);
  const words = search.trim().toLowerCase();
  const shown = (accounts.data ?? []).filter((one) =>
    `${one.name} ${one.description} ${one.id}`.toLowerCase().includes(words),
  );
  const open = ({ id }: ServiceAccount) => void navigate({ to: "/access/service-accounts/$id", params: { id } });
  const mayCreate = can(whoami, ["ORG_ADMIN", "CLUSTER_ADMIN"]);
  const create = mayCreate && (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setCreating(true)}>
      Create service account
    </Button>
  );

  if (accounts.error) return <ErrorNote error={accounts.error} retry={() => void accounts.refetch()} />;
  return (
    <>
      <div className={classes.bar}>
        <TextInput
          className={classes.search}
          aria-label="Search service accounts"
          placeholder="Search by name or description"
          leftSection={<IconSearch size={16} aria-hidden />}
          value={search}
          onChange={(event) => setSearch(event.currentTarget.value)}
        />
        {create}
      </div>
      <DataTable
        label="Service accounts"
        columns={COLUMNS}
        data={shown}
        rowId={(account) => account.id}
        loading={accounts.isPending}
        onOpen={open}
        empty={
          words ? (
            <Empty icon={IconRobot} title="No service account matches" text="Search for a part of its name." />
          ) : (
            <Empty
              icon={IconRobot}
              title="No service accounts yet"
              text="A service account lets a program call the API, with roles of its own and keys that can end."
              action={create}
            />
          )
        }
      />
      <AccountDialog opened={creating} onClose={() => setCreating(false)} onDone={open} />
    </>
  );
}
