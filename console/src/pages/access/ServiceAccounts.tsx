import { Anchor, Button, Text } from "@mantine/core";
import { IconPlus, IconRobot } from "@tabler/icons-react";
import { Link, useNavigate } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { useState } from "react";
import { isAllowed } from "../../api/permissions";
import { useSession } from "../../api/queries";
import { DataTable } from "../../components/DataTable";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { RelativeTime } from "../../components/RelativeTime";
import { SearchInput } from "../../components/SearchInput";
import { Toolbar } from "../../components/Toolbar";
import { useAccounts, type ServiceAccount } from "../../features/access/data";
import { RoleList } from "../../features/access/RoleList";
import { ServiceAccountDialog } from "../../features/access/ServiceAccountDialog";

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
    cell: ({ getValue }) => <RelativeTime time={getValue()} />,
  },
];

/** The service accounts of the organization. */
export function ServiceAccounts() {
  const accounts = useAccounts();
  const canCreate = isAllowed(useSession(), "CreateServiceAccount");
  const navigate = useNavigate();
  const [search, setSearch] = useState("");
  const [creating, setCreating] = useState(false);
  const text = search.trim().toLowerCase();
  const shown = (accounts.data ?? []).filter((account) =>
    `${account.name} ${account.description} ${account.id}`.toLowerCase().includes(text),
  );
  const open = ({ id }: ServiceAccount) => void navigate({ to: "/access/service-accounts/$id", params: { id } });
  const create = canCreate && (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setCreating(true)}>
      Create service account
    </Button>
  );

  if (accounts.error) {
    return (
      <ErrorAlert title="Couldn't load service accounts" error={accounts.error} retry={() => void accounts.refetch()} />
    );
  }
  return (
    <>
      <Toolbar>
        <SearchInput
          label="Search service accounts"
          placeholder="Search by name, description, or ID"
          value={search}
          onChange={setSearch}
        />
        {create}
      </Toolbar>
      <DataTable
        label="Service accounts"
        columns={COLUMNS}
        data={shown}
        rowId={(account) => account.id}
        loading={accounts.isPending}
        onOpen={open}
        empty={
          text ? (
            <EmptyState icon={IconRobot} title="No service accounts match" text="Search for a part of the name." />
          ) : (
            <EmptyState
              icon={IconRobot}
              title="No service accounts"
              text="A service account lets a program call the API with its own roles and API keys."
              action={create}
            />
          )
        }
      />
      {creating && <ServiceAccountDialog onClose={() => setCreating(false)} onSuccess={open} />}
    </>
  );
}
