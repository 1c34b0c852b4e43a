import { Badge, Button } from "@mantine/core";
import { IconDeviceDesktop } from "@tabler/icons-react";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo } from "react";
import type { SessionInfo } from "../../api/extensions";
import { DataTable } from "../../components/DataTable";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { RelativeTime } from "../../components/RelativeTime";
import { SectionHeader } from "../../components/Toolbar";
import { userAgentName } from "./user-agent";
import { useEndSession, useEndSessions, useSessions } from "./data";
import classes from "./organization.module.css";

/** The sessions of the signed-in user. */
export function Sessions() {
  const sessions = useSessions();
  const end = useEndSession();
  const endAll = useEndSessions();
  const others = (sessions.data ?? []).filter((session) => !session.current).map((session) => session.id);
  const { mutate, isPending, variables } = end;
  const pending = isPending ? variables : undefined;
  const columns = useMemo(() => columnsFor(mutate, pending), [mutate, pending]);
  return (
    <section className={classes.section} aria-labelledby="sessions">
      <SectionHeader
        id="sessions"
        title="Sessions"
        text="Sign out any session you don't recognize, then change your password."
        actions={
          others.length > 0 && (
            <Button variant="default" size="xs" loading={endAll.isPending} onClick={() => endAll.mutate(others)}>
              Sign out all other sessions
            </Button>
          )
        }
      />
      {sessions.error ? (
        <ErrorAlert title="Couldn't load the sessions" error={sessions.error} retry={() => void sessions.refetch()} />
      ) : (
        <DataTable
          label="Sessions"
          columns={columns}
          data={sessions.data ?? []}
          rowId={(session) => session.id}
          loading={sessions.isPending}
          empty={<EmptyState icon={IconDeviceDesktop} title="No sessions" />}
        />
      )}
    </section>
  );
}

function columnsFor(end: (id: string) => void, pending: string | undefined): ColumnDef<SessionInfo, any>[] {
  return [
    {
      id: "agent",
      header: "Browser",
      enableSorting: false,
      meta: { width: "minmax(0, 1.6fr)" },
      cell: ({ row: { original } }) => (
        <span className={classes.agent}>
          <span title={original.user_agent}>{userAgentName(original.user_agent)}</span>
          {original.current && (
            <Badge size="sm" variant="light" tt="none" c="var(--accent-text)">
              Current session
            </Badge>
          )}
        </span>
      ),
    },
    { accessorKey: "ip_address", header: "IP address", enableSorting: false, meta: { width: "minmax(0, 1fr)" } },
    time("last_used_at", "Last used"),
    time("created_at", "Signed in"),
    time("expires_at", "Expires"),
    {
      id: "actions",
      header: () => <span className="visually-hidden">Actions</span>,
      enableSorting: false,
      meta: { width: "90px", align: "right", bare: true },
      cell: ({ row: { original } }) =>
        original.current ? null : (
          <Button
            size="compact-xs"
            variant="default"
            loading={pending === original.id}
            aria-label={`Sign out ${userAgentName(original.user_agent)} at ${original.ip_address}`}
            onClick={() => end(original.id)}
          >
            Sign out
          </Button>
        ),
    },
  ];
}

function time(key: "last_used_at" | "created_at" | "expires_at", header: string): ColumnDef<SessionInfo, any> {
  return {
    accessorKey: key,
    header,
    meta: { width: "125px" },
    cell: ({ getValue }) => <RelativeTime time={getValue()} future={key === "expires_at"} />,
  };
}
