import { Badge, Button, Modal, Text } from "@mantine/core";
import { IconKey, IconLinkOff, IconShield, IconTrash, IconUserPlus, IconUsers } from "@tabler/icons-react";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import type { Invitation, Person } from "../../api/extensions";
import { useSession } from "../../api/queries";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { DataTable } from "../../components/DataTable";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { RelativeTime } from "../../components/RelativeTime";
import { RowMenu, type RowAction } from "../../components/RowMenu";
import { SearchInput } from "../../components/SearchInput";
import { Toolbar } from "../../components/Toolbar";
import { notifyError } from "../../components/useNotifiedMutation";
import { useInvitations, useInvite, usePeople, useRemovePerson, useRevoke } from "../../features/access/data";
import { RoleList } from "../../features/access/RoleList";
import { RolesDialog } from "../../features/access/RolesDialog";
import { InviteDialog, InviteLink } from "./InviteDialog";

interface Row {
  person: Person;
  invitation?: Invitation;
}

type Dialog = { kind: "roles" | "remove" | "revoke"; row: Row };

/** The users of the organization, including those who have been invited. */
export function People() {
  const people = usePeople();
  const invitations = useInvitations();
  const [search, setSearch] = useState("");
  const [inviting, setInviting] = useState(false);
  const [dialog, setDialog] = useState<Dialog | null>(null);
  const newLink = useInvite();
  const rows = useMemo(
    () => joinInvitations(people.data ?? [], invitations.data ?? []),
    [people.data, invitations.data],
  );
  const shown = rows.filter((row) => row.person.email.includes(search.trim().toLowerCase()));
  const { mutate: createLink } = newLink;
  const columns = useColumns(setDialog, createLink);

  if (people.error) {
    return <ErrorAlert title="Couldn't load users" error={people.error} retry={() => void people.refetch()} />;
  }
  return (
    <>
      <Toolbar>
        <SearchInput label="Search users" placeholder="Search by email address" value={search} onChange={setSearch} />
        <Button leftSection={<IconUserPlus size={16} aria-hidden />} onClick={() => setInviting(true)}>
          Invite user
        </Button>
      </Toolbar>
      <DataTable
        label="Users"
        columns={columns}
        data={shown}
        rowId={(row) => row.person.id}
        loading={people.isPending}
        empty={
          <EmptyState
            icon={IconUsers}
            title={search ? "No users match" : "No users"}
            text={search ? "Search for a part of the email address." : "Invite a user to give them access."}
          />
        }
      />
      {inviting && <InviteDialog onClose={() => setInviting(false)} />}
      {dialog && <Dialogs {...dialog} onClose={() => setDialog(null)} />}
      {newLink.data && (
        <Modal opened onClose={newLink.reset} title="Invite link created" size="lg" closeOnClickOutside={false}>
          <InviteLink invitation={newLink.data} onClose={newLink.reset} />
        </Modal>
      )}
    </>
  );
}

function Dialogs({ kind, row, onClose }: Dialog & { onClose: () => void }) {
  switch (kind) {
    case "roles": {
      const { id, email } = row.person;
      const withoutRoles = "Without roles, the user can sign in but can't see any clusters.";
      return <RolesDialog principal={{ id, name: email, withoutRoles }} onClose={onClose} />;
    }
    case "remove":
      return <RemoveDialog row={row} onClose={onClose} />;
    case "revoke":
      return <RevokeDialog row={row} onClose={onClose} />;
  }
}

function joinInvitations(people: Person[], invitations: Invitation[]): Row[] {
  const byUser = new Map(invitations.map((invitation) => [invitation.user_id, invitation]));
  return people.map((person) => ({ person, invitation: byUser.get(person.id) }));
}

type CreateLink = ReturnType<typeof useInvite>["mutate"];

function useColumns(open: (dialog: Dialog) => void, createLink: CreateLink): ColumnDef<Row, any>[] {
  const ownId = useSession()?.user.id;
  return useMemo(
    () => [
      {
        id: "email",
        header: "Email",
        accessorFn: (row) => row.person.email,
        meta: { width: "minmax(0, 1.4fr)" },
        cell: ({ row: { original } }) => (
          <span>
            {original.person.email}
            {original.person.id === ownId && (
              <Text span c="dimmed">
                {" "}
                (you)
              </Text>
            )}
          </span>
        ),
      },
      {
        id: "roles",
        header: "Roles",
        enableSorting: false,
        meta: { width: "minmax(0, 2fr)" },
        cell: ({ row }) => <RoleList grants={row.original.person.roles} />,
      },
      {
        id: "state",
        header: "State",
        enableSorting: false,
        meta: { width: "190px" },
        cell: ({ row }) => <State row={row.original} />,
      },
      {
        id: "created",
        header: "Created",
        accessorFn: (row) => row.person.created_at,
        meta: { width: "120px" },
        cell: ({ getValue }) => <RelativeTime time={getValue()} />,
      },
      {
        id: "actions",
        header: () => <span className="visually-hidden">Actions</span>,
        enableSorting: false,
        meta: { width: "40px", align: "right", corner: true },
        cell: ({ row: { original } }) => (
          <RowMenu
            name={original.person.email}
            actions={actionsOf(original, original.person.id === ownId, open, createLink)}
          />
        ),
      },
    ],
    [ownId, open, createLink],
  );
}

function State({ row: { person, invitation } }: { row: Row }) {
  if (!person.active) return <Badge color="gray">Deactivated</Badge>;
  if (invitation) {
    return (
      <span>
        {invitation.for_new_password ? "Password reset, link expires " : "Invited, link expires "}
        <RelativeTime time={invitation.expires_at} future />
      </span>
    );
  }
  if (person.has_password) return <span>Active</span>;
  return (
    <Text span size="sm" c="dimmed">
      No password
    </Text>
  );
}

function actionsOf(row: Row, isSelf: boolean, open: (dialog: Dialog) => void, createLink: CreateLink): RowAction[] {
  const actions: RowAction[] = [{ label: "Edit roles", icon: IconShield, run: () => open({ kind: "roles", row }) }];
  if (!row.person.has_password) {
    const onError = (error: Error) => notifyError(error, "Couldn't create the invite link");
    const run = () => createLink({ email: row.person.email, roles: [] }, { onError });
    actions.push({ label: "Create new invite link", icon: IconKey, run });
  }
  if (row.invitation) {
    actions.push({ label: "Revoke invite link", icon: IconLinkOff, run: () => open({ kind: "revoke", row }) });
  }
  if (!isSelf) {
    actions.push({ label: "Remove user", icon: IconTrash, danger: true, run: () => open({ kind: "remove", row }) });
  }
  return actions;
}

interface DialogProps {
  row: Row;
  onClose: () => void;
}

function RemoveDialog({ row: { person }, onClose }: DialogProps) {
  const remove = useRemovePerson({ successMessage: "User removed", onSuccess: onClose });
  return (
    <ConfirmDialog
      onClose={onClose}
      title={`Remove ${person.email}?`}
      action="Remove user"
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(person.id)}
    >
      The user is signed out immediately and loses all roles. Resources that the user created are kept.
    </ConfirmDialog>
  );
}

function RevokeDialog({ row: { person, invitation }, onClose }: DialogProps) {
  const revoke = useRevoke({ successMessage: "Invite link revoked", onSuccess: onClose });
  return (
    <ConfirmDialog
      onClose={onClose}
      title={`Revoke the invite link of ${person.email}?`}
      action="Revoke link"
      pending={revoke.isPending}
      error={revoke.error}
      onConfirm={() => invitation && revoke.mutate(invitation.id)}
    >
      The link stops working immediately. A user who has never signed in is removed.
    </ConfirmDialog>
  );
}
