/** Who can come in, who is invited, and what they may do. */
import { Badge, Button, Modal, Text, TextInput } from "@mantine/core";
import { IconKey, IconLinkOff, IconSearch, IconShield, IconTrash, IconUserPlus, IconUsers } from "@tabler/icons-react";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import type { Invitation, Person } from "../../api/extensions";
import { useSession } from "../../api/queries";
import { Confirm } from "../../components/Confirm";
import { DataTable } from "../../components/DataTable";
import { Empty } from "../../components/Empty";
import { ErrorNote } from "../../components/ErrorNote";
import { RowMenu, type RowAction } from "../../components/RowMenu";
import { TimeAgo } from "../../components/TimeAgo";
import { notifyError } from "../../shell/mutation";
import classes from "./access.module.css";
import { useInvitations, useInvite, usePeople, useRemovePerson, useRevoke } from "./data";
import { InvitationLink, InviteDialog } from "./InviteDialog";
import { RoleList } from "./RoleList";
import { RolesDialog } from "./RolesDialog";

interface Row {
  person: Person;
  invitation?: Invitation;
}

type Asked = { what: "roles" | "remove" | "revoke"; row: Row };

export function People() {
  const people = usePeople();
  const invitations = useInvitations();
  const [search, setSearch] = useState("");
  const [inviting, setInviting] = useState(false);
  const [asked, setAsked] = useState<Asked | null>(null);
  const fresh = useInvite();
  const rows = useMemo(() => joined(people.data ?? [], invitations.data ?? []), [people.data, invitations.data]);
  const shown = rows.filter((row) => row.person.email.includes(search.trim().toLowerCase()));
  const newLink = (row: Row) =>
    fresh.mutate(
      { email: row.person.email, roles: [] },
      { onError: (error) => notifyError(error, "There is no new link") },
    );
  const columns = useColumns(setAsked, newLink);
  const close = () => setAsked(null);

  if (people.error) return <ErrorNote error={people.error} retry={() => void people.refetch()} />;
  return (
    <>
      <div className={classes.bar}>
        <TextInput
          className={classes.search}
          aria-label="Search people"
          placeholder="Search by e-mail address"
          leftSection={<IconSearch size={16} aria-hidden />}
          value={search}
          onChange={(event) => setSearch(event.currentTarget.value)}
        />
        <Button leftSection={<IconUserPlus size={16} aria-hidden />} onClick={() => setInviting(true)}>
          Invite
        </Button>
      </div>
      <DataTable
        label="People"
        columns={columns}
        data={shown}
        rowId={(row) => row.person.id}
        loading={people.isPending}
        empty={
          <Empty
            icon={IconUsers}
            title={search ? "Nobody matches" : "Nobody can sign in yet"}
            text={
              search ? "Search for a part of the address." : "Invite the first person: you get a link to hand over."
            }
          />
        }
      />
      <InviteDialog opened={inviting} onClose={() => setInviting(false)} />
      <RolesDialog
        principal={asked?.what === "roles" ? { id: asked.row.person.id, name: asked.row.person.email } : null}
        onClose={close}
      />
      <Remove row={asked?.what === "remove" ? asked.row : undefined} onClose={close} />
      <Revoke row={asked?.what === "revoke" ? asked.row : undefined} onClose={close} />
      <Modal opened={fresh.data !== undefined} onClose={fresh.reset} title="A new link" size="lg">
        {fresh.data && <InvitationLink invitation={fresh.data} onClose={fresh.reset} />}
      </Modal>
    </>
  );
}

function joined(people: Person[], invitations: Invitation[]): Row[] {
  const links = new Map(invitations.map((invitation) => [invitation.user_id, invitation]));
  return people.map((person) => ({ person, invitation: links.get(person.id) }));
}

function useColumns(ask: (asked: Asked) => void, newLink: (row: Row) => void): ColumnDef<Row, any>[] {
  const me = useSession()?.user.id;
  return useMemo(
    () => [
      {
        id: "email",
        header: "E-mail",
        accessorFn: (row) => row.person.email,
        meta: { width: "minmax(0, 1.4fr)" },
        cell: ({ row: { original } }) => (
          <span>
            {original.person.email}
            {original.person.id === me && (
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
        header: "Added",
        accessorFn: (row) => row.person.created_at,
        meta: { width: "120px" },
        cell: ({ getValue }) => <TimeAgo time={getValue()} />,
      },
      {
        id: "actions",
        header: () => <span className="visually-hidden">Actions</span>,
        enableSorting: false,
        meta: { width: "40px", align: "right", corner: true },
        cell: ({ row }) => (
          <Actions row={row.original} mine={row.original.person.id === me} ask={ask} newLink={newLink} />
        ),
      },
    ],
    [me, ask, newLink],
  );
}

function State({ row: { person, invitation } }: { row: Row }) {
  if (!person.active) return <Badge color="gray">Deactivated</Badge>;
  if (invitation) {
    return (
      <span>
        {invitation.for_new_password ? "New password, link ends " : "Invited, link ends "}
        <TimeAgo time={invitation.expires_at} />
      </span>
    );
  }
  return person.has_password ? (
    <span>Active</span>
  ) : (
    <Text span size="sm" c="dimmed">
      No password yet
    </Text>
  );
}

interface ActionsProps {
  row: Row;
  mine: boolean;
  ask: (asked: Asked) => void;
  newLink: (row: Row) => void;
}

function Actions({ row, mine, ask, newLink }: ActionsProps) {
  const actions: RowAction[] = [{ label: "Edit roles", icon: IconShield, run: () => ask({ what: "roles", row }) }];
  if (!row.person.has_password) actions.push({ label: "Make a new link", icon: IconKey, run: () => newLink(row) });
  if (row.invitation) {
    actions.push({ label: "Revoke the link", icon: IconLinkOff, run: () => ask({ what: "revoke", row }) });
  }
  if (!mine) {
    actions.push({ label: "Remove", icon: IconTrash, danger: true, run: () => ask({ what: "remove", row }) });
  }
  return <RowMenu name={row.person.email} actions={actions} />;
}

interface AskProps {
  row?: Row;
  onClose: () => void;
}

function Remove({ row, onClose }: AskProps) {
  const remove = useRemovePerson({ done: "Removed", onSuccess: onClose });
  return (
    <Confirm
      opened={row !== undefined}
      onClose={() => {
        remove.reset();
        onClose();
      }}
      title={`Remove ${row?.person.email ?? ""}?`}
      action="Remove"
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => row && remove.mutate(row.person.id)}
    >
      Their sessions end at once and their roles are gone. What they made stays.
    </Confirm>
  );
}

function Revoke({ row, onClose }: AskProps) {
  const revoke = useRevoke({ done: "The link no longer works", onSuccess: onClose });
  return (
    <Confirm
      opened={row !== undefined}
      onClose={() => {
        revoke.reset();
        onClose();
      }}
      title={`Revoke the link of ${row?.person.email ?? ""}?`}
      action="Revoke"
      pending={revoke.isPending}
      error={revoke.error}
      onConfirm={() => row?.invitation && revoke.mutate(row.invitation.id)}
    >
      It stops working at once. Who was invited and has never come in is removed with it.
    </Confirm>
  );
}
