/** Groups that an identity provider keeps over SCIM, and the roles that they give. */
import { Button, Code, Text } from "@mantine/core";
import { IconUsersGroup } from "@tabler/icons-react";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import { DataTable } from "../../components/DataTable";
import { Empty } from "../../components/Empty";
import { ErrorNote } from "../../components/ErrorNote";
import { useGroups, useRolesOf, type Group } from "./data";
import { RoleList } from "./RoleList";
import { RolesDialog, type Principal } from "./RolesDialog";

export function Groups() {
  const groups = useGroups();
  const [edited, setEdited] = useState<Principal | null>(null);
  const columns = useMemo(() => columnsFor(setEdited), []);
  if (groups.error) return <ErrorNote error={groups.error} retry={() => void groups.refetch()} />;
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
          <Empty
            icon={IconUsersGroup}
            title="No groups yet"
            text={
              <>
                Point your identity provider’s SCIM at <Code>{location.origin}/api/scim/v2</Code> with the key of a
                service account that is organization admin. The groups that it pushes appear here.
              </>
            }
          />
        }
      />
      <RolesDialog principal={edited} onClose={() => setEdited(null)} />
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
          onClick={() => edit({ id: original.id, name: original.displayName ?? "group" })}
        >
          Edit roles
        </Button>
      ),
    },
  ];
}

function RolesOfGroup({ id }: { id: string }) {
  const roles = useRolesOf(id);
  return roles.data ? (
    <RoleList grants={roles.data.roles} />
  ) : (
    <Text size="sm" c="dimmed">
      …
    </Text>
  );
}
