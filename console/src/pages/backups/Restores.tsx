import { Button, Stack, Text } from "@mantine/core";
import type { ColumnDef } from "@tanstack/react-table";
import { useState } from "react";
import { percentOf, restoredTime, useRestores, type Restore } from "../../api/restores";
import { DataTable } from "../../components/DataTable";
import { ErrorAlert } from "../../components/ErrorAlert";
import { RelativeTime } from "../../components/RelativeTime";
import { StatusBadge, type Status } from "../../components/StatusBadge";
import { SectionHeader } from "../../components/Toolbar";
import { formatCount, formatDateTime } from "../../lib/format";
import classes from "./backups.module.css";
import { contentsText } from "./restore-draft";

/** The restores that are shown at first. */
const SHORT = 5;

const COLUMNS: ColumnDef<Restore, any>[] = [
  {
    id: "status",
    header: "Status",
    enableSorting: false,
    meta: { width: "minmax(0, 1.6fr)" },
    cell: ({ row }) => <RestoreStatus restore={row.original} />,
  },
  {
    id: "contents",
    header: "Restored",
    enableSorting: false,
    meta: { width: "minmax(0, 1.2fr)" },
    cell: ({ row }) => contentsText(row.original),
  },
  {
    id: "time",
    header: "As of",
    enableSorting: false,
    meta: { width: "minmax(0, 1.4fr)" },
    cell: ({ row }) => <span className="tabular">{formatDateTime(restoredTime(row.original))}</span>,
  },
  {
    id: "source",
    header: "Source",
    enableSorting: false,
    meta: { width: "minmax(0, 1fr)" },
    cell: ({ row }) => row.original.source_cluster_name,
  },
  {
    id: "started",
    header: "Started",
    enableSorting: false,
    meta: { width: "120px" },
    cell: ({ row }) => <RelativeTime time={row.original.created_at} />,
  },
  {
    id: "completed",
    header: "Completed",
    enableSorting: false,
    meta: { width: "120px" },
    cell: ({ row }) => <RelativeTime time={row.original.completed_at} />,
  },
];

/** The restores into a cluster, if there are any. */
export function Restores({ cluster }: { cluster: string }) {
  const { data, error, refetch } = useRestores(cluster);
  const [all, setAll] = useState(false);
  if (data ? data.length === 0 : !error) return null;
  return (
    <section aria-labelledby="restores">
      <Stack gap="xs">
        <SectionHeader id="restores" title="Restores" text="What was restored into this cluster." />
        {data ? (
          <DataTable
            label="Restores"
            columns={COLUMNS}
            data={all ? data : data.slice(0, SHORT)}
            rowId={(restore) => restore.id}
          />
        ) : (
          <ErrorAlert title="Couldn't load the restores" error={error} retry={() => void refetch()} />
        )}
        {data && data.length > SHORT && !all && (
          <Button variant="default" size="xs" className={classes.more} onClick={() => setAll(true)}>
            Show all {formatCount(data.length, "restore")}
          </Button>
        )}
      </Stack>
    </section>
  );
}

function RestoreStatus({ restore }: { restore: Restore }) {
  return (
    <div>
      <StatusBadge {...statusOf(restore)} />
      {restore.client_error_message && (
        <Text size="sm" c="dimmed" mt={4}>
          {restore.client_error_message}
        </Text>
      )}
    </div>
  );
}

function statusOf(restore: Restore): Status {
  switch (restore.status) {
    case "PENDING":
      return { label: `Running, ${percentOf(restore)}%`, tone: "busy" };
    case "SUCCESS":
      return { label: "Succeeded", tone: "good" };
    case "FAILED":
      return { label: "Failed", tone: "bad" };
  }
}
