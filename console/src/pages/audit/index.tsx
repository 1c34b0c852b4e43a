/** The audit log, newest entries first. */
import { Button, Loader, Text, VisuallyHidden } from "@mantine/core";
import { IconHistory } from "@tabler/icons-react";
import { useNavigate, useSearch } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { DataTable } from "../../components/DataTable";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { Page } from "../../components/Page";
import { formatDateTime } from "../../lib/format";
import { RelativeTime } from "../../components/RelativeTime";
import classes from "./audit.module.css";
import { useEntries, useEntry } from "./entries";
import { EntryDrawer } from "./EntryDrawer";
import { actionLabel, actorOf, readSearch, sourceLabel, type AuditSearch, type Entry } from "./filters";
import { Filters } from "./Filters";

const COLUMNS: ColumnDef<Entry, any>[] = [
  {
    id: "time",
    header: "Time",
    enableSorting: false,
    meta: { width: "130px" },
    cell: ({ row }) => <RelativeTime time={row.original.created_at} />,
  },
  {
    id: "action",
    header: "Action",
    enableSorting: false,
    meta: { width: "minmax(0, 1.5fr)" },
    cell: ({ row }) => <Action entry={row.original} />,
  },
  {
    id: "actor",
    header: "Actor",
    enableSorting: false,
    meta: { width: "minmax(0, 1.2fr)" },
    cell: ({ row }) => actorOf(row.original),
  },
  {
    id: "cluster",
    header: "Cluster",
    enableSorting: false,
    meta: { width: "minmax(0, 1fr)" },
    cell: ({ row }) =>
      row.original.cluster_name ?? (
        <Text span size="sm" c="dimmed">
          –
        </Text>
      ),
  },
  {
    id: "source",
    header: "Source",
    enableSorting: false,
    meta: { width: "120px" },
    cell: ({ row }) => sourceLabel(row.original.source),
  },
];

function Action({ entry }: { entry: Entry }) {
  return (
    <span className={classes.action} title={entry.error ?? undefined}>
      <span className={classes.dot} data-failed={entry.error ? true : undefined} aria-hidden />
      <span>
        {actionLabel(entry.action)}
        {entry.error && <VisuallyHidden>, failed</VisuallyHidden>}
      </span>
    </span>
  );
}

export default function Audit() {
  const search = readSearch(useSearch({ strict: false }));
  const navigate = useNavigate();
  const change = (change: Partial<AuditSearch>) =>
    void navigate({ to: "/audit", search: { ...search, ...change }, replace: !("logId" in change) });
  const entries = useEntries(search);
  const opened = useEntry(search, entries.shown);
  const { hasNextPage, isFetching, fetchNextPage } = entries;
  const more = (visible: Entry[]) => {
    const atTheEnd = visible.length > 0 && visible.at(-1)?.id === entries.shown.at(-1)?.id;
    if (atTheEnd && hasNextPage && !isFetching) void fetchNextPage();
  };

  return (
    <Page title="Audit log" text="Every change and every rejected request in this organization.">
      <Filters search={search} onChange={change} />
      {entries.error ? (
        <ErrorAlert error={entries.error} retry={() => void entries.refetch()} />
      ) : (
        <>
          <DataTable
            label="Audit log"
            columns={COLUMNS}
            data={entries.shown}
            rowId={(entry) => entry.id}
            loading={entries.isPending}
            onOpen={(entry) => change({ logId: entry.id, at: entry.created_at })}
            onVisible={more}
            empty={
              <EmptyState
                icon={IconHistory}
                title="No matching entries"
                text="Select a longer time range, or clear the filters."
              />
            }
          />
          <End entries={entries} />
        </>
      )}
      <EntryDrawer
        opened={search.logId !== undefined}
        {...opened}
        onClose={() => change({ logId: undefined, at: undefined })}
        onFilter={(filter) => change({ ...filter, logId: undefined, at: undefined })}
      />
    </Page>
  );
}

/** How far back the search went, and a button to continue. */
function End({ entries }: { entries: ReturnType<typeof useEntries> }) {
  const { isFetchingNextPage, hasNextPage, fetchNextPage, searchedUntil, shown, isPending } = entries;
  if (isPending) return null;
  return (
    <div className={classes.end} role="status">
      {isFetchingNextPage ? (
        <Loader size="sm" aria-label="Loading older entries" />
      ) : hasNextPage ? (
        <>
          {searchedUntil && (
            <Text size="sm" c="dimmed">
              Searched back to {formatDateTime(searchedUntil)}
            </Text>
          )}
          <Button variant="default" size="xs" onClick={() => void fetchNextPage()}>
            Load older entries
          </Button>
        </>
      ) : (
        shown.length > 0 && (
          <Text size="sm" c="dimmed">
            No more entries in this time range
          </Text>
        )
      )}
    </div>
  );
}
