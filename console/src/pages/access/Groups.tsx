import { Button, Code, Text } from "@mantine/core";
import { IconUsersGroup } from "@tabler/icons-react";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import { DataTable } from "../../components/DataTable";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { useGroups, useRolesOf, type Group } from "../../features/access/data";
import { RoleList } from "../../features/access/RoleList";
import { RolesDialog, type Principal } from "../../features/access/RolesDialog";

/** The groups that an identity provider manages over SCIM, and their roles. */
export function Groups() {
  const groups = useGroups();
  const [edited, setEdited] = useState<Principal | null>(null);
  const columns = useMemo(() => columnsFor(setEdited), []);
  if (groups.error) {
    return <ErrorAlert title="Couldn't load groups" error={groups.error} retry={() => void groups.refetch()} />;
  }
  return (
    <>
      <Text size="sm" c="dimmed">
        Groups and their members come from your identity provider over SCIM. Roles are given here; every member has
        them.
      </Text>
      <DataTable
        label="Groups"
        columns={columns}
        data={groups.data ?? []}
        rowId={(group) => group.id}
        loading={groups.isPending}
        empty={
          <EmptyState
            icon={IconUsersGroup}
            title="No groups"
            text={
              <>
                To sync groups, configure SCIM in your identity provider with the base URL{" "}
                <Code>{location.origin}/api/scim/v2</Code> and an API key of a service account with the Organization
                admin role.
              </>
            }
          />
        }
      />
      {edited && <RolesDialog principal={edited} onClose={() => setEdited(null)} />}
    </>
  );
}

function columnsFor(edit: (group: Principal) => void): ColumnDef<Group, any>[] {
  return [
    { accessorKey: "displayName", header: "Name", meta: { width: "minmax(0, 1.4fr)" } },
    {
      id: "members",
      header: "Members",
      accessorFn: (group) => group.members?.length ?? 0,
      meta: { width: "110px" },
      cell: ({ row, getValue }) => (
        <span title={row.original.members?.map((member) => member.display ?? member.value).join(", ")}>
          {getValue()}
        </span>
      ),
    },
    {
      id: "roles",
      header: "Roles",
      enableSorting: false,
      meta: { width: "minmax(0, 2fr)" },
      cell: ({ row }) => <RolesOfGroup id={row.original.id} />,
    },
    {
      id: "actions",
      header: () => <span className="visually-hidden">Actions</span>,
      enableSorting: false,
      meta: { width: "110px", align: "right", bare: true },
      cell: ({ row: { original } }) => (
        <Button
          size="xs"
          variant="default"
          aria-label={`Edit roles of ${original.displayName}`}
          onClick={() =>
            edit({
              id: original.id,
              name: original.displayName ?? "group",
              withoutRoles: "Without roles, the group grants its members no access.",
            })
          }
        >
          Edit roles
        </Button>
      ),
    },
  ];
}

function RolesOfGroup({ id }: { id: string }) {
  const roles = useRolesOf(id);
  return roles.data ? <RoleList grants={roles.data.roles} /> : null;
}
