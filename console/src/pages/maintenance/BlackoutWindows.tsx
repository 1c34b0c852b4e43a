import { Button, Stack } from "@mantine/core";
import { IconCalendarOff, IconPencil, IconPlus, IconTrash } from "@tabler/icons-react";
import { createColumnHelper, type ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import type { Cluster } from "../../api/client";
import { useAllowed } from "../../api/permissions";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { DataTable } from "../../components/DataTable";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { RowMenu, type RowAction } from "../../components/RowMenu";
import { SectionHeader } from "../../components/Toolbar";
import { formatUtcDateTime } from "../../lib/format";
import { BlackoutDialog } from "./BlackoutDialog";
import { useBlackoutWindows, useDeleteBlackoutWindow } from "./data";
import type { BlackoutWindow } from "./windows";

type Open = { what: "create" } | { what: "edit" | "delete"; blackout: BlackoutWindow };

const column = createColumnHelper<BlackoutWindow>();

/** The periods in which a cluster must not be restarted. */
export function BlackoutWindows({ cluster }: { cluster: Cluster }) {
  const blackouts = useBlackoutWindows(cluster.id);
  const [open, setOpen] = useState<Open | null>(null);
  const active = cluster.state !== "DELETED";
  const canCreate = useAllowed(cluster, "CreateBlackoutWindow") && active;
  const canUpdate = useAllowed(cluster, "UpdateBlackoutWindow") && active;
  const canDelete = useAllowed(cluster, "DeleteBlackoutWindow") && active;
  const columns = useMemo(() => columnsOf(canUpdate, canDelete, setOpen), [canUpdate, canDelete]);
  const common = { cluster: cluster.id, onClose: () => setOpen(null) };
  return (
    <section aria-labelledby="blackout-windows">
      <Stack gap="xs">
        <SectionHeader
          id="blackout-windows"
          title="Blackout windows"
          text="Periods without patches and other changes that restart the cluster. Each starts at least 7 days from now, lasts at most 14 days, and ends within three months."
          actions={
            canCreate && (
              <Button
                variant="default"
                leftSection={<IconPlus size={16} aria-hidden />}
                onClick={() => setOpen({ what: "create" })}
              >
                Create blackout window
              </Button>
            )
          }
        />
        {blackouts.error && !blackouts.data ? (
          <ErrorAlert
            title="Couldn't load the blackout windows"
            error={blackouts.error}
            retry={() => void blackouts.refetch()}
          />
        ) : (
          <DataTable
            label="Blackout windows"
            columns={columns}
            data={blackouts.data ?? []}
            rowId={(blackout) => blackout.id}
            initialSort={[{ id: "start_time", desc: false }]}
            loading={blackouts.isPending}
            empty={
              <EmptyState
                icon={IconCalendarOff}
                title="No blackout windows"
                text="Create one for a period in which the cluster must not be restarted, such as a sale."
              />
            }
          />
        )}
      </Stack>
      {open?.what === "create" && <BlackoutDialog {...common} />}
      {open?.what === "edit" && <BlackoutDialog {...common} blackout={open.blackout} />}
      {open?.what === "delete" && <DeleteDialog {...common} blackout={open.blackout} />}
    </section>
  );
}

interface DeleteProps {
  cluster: string;
  blackout: BlackoutWindow;
  onClose: () => void;
}

function DeleteDialog({ cluster, blackout, onClose }: DeleteProps) {
  const remove = useDeleteBlackoutWindow(cluster);
  const start = formatUtcDateTime(blackout.start_time);
  const end = formatUtcDateTime(blackout.end_time);
  return (
    <ConfirmDialog
      onClose={onClose}
      title="Delete blackout window?"
      action="Delete blackout window"
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(blackout.id, { onSuccess: onClose })}
    >
      {`The blackout window from ${start} to ${end} will be deleted. You can't undo this action.`}
    </ConfirmDialog>
  );
}

function columnsOf(
  canUpdate: boolean,
  canDelete: boolean,
  setOpen: (open: Open) => void,
): ColumnDef<BlackoutWindow, any>[] {
  const time = (key: "start_time" | "end_time", header: string) =>
    column.accessor(key, {
      header,
      meta: { width: "minmax(0, 1fr)" },
      cell: (cell) => (
        <time dateTime={cell.getValue()} className="tabular">
          {formatUtcDateTime(cell.getValue())}
        </time>
      ),
    });
  const actionsFor = (blackout: BlackoutWindow): RowAction[] => [
    ...(canUpdate ? [{ label: "Edit", icon: IconPencil, run: () => setOpen({ what: "edit", blackout }) }] : []),
    ...(canDelete
      ? [
          {
            label: "Delete blackout window",
            icon: IconTrash,
            danger: true,
            run: () => setOpen({ what: "delete", blackout }),
          },
        ]
      : []),
  ];
  const actions = column.display({
    id: "actions",
    header: () => <span className="visually-hidden">Actions</span>,
    meta: { width: "40px", align: "right", bare: true, corner: true },
    cell: ({ row: { original } }) => (
      <RowMenu name={formatUtcDateTime(original.start_time)} actions={actionsFor(original)} />
    ),
  });
  const shown = [time("start_time", "Start"), time("end_time", "End")];
  return canUpdate || canDelete ? [...shown, actions] : shown;
}
