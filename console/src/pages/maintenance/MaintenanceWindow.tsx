import { Button, Group, Skeleton, Stack } from "@mantine/core";
import { IconCalendarTime, IconPencil, IconPlus, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import type { Cluster } from "../../api/client";
import { useAllowed } from "../../api/permissions";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { DescriptionList } from "../../components/DescriptionList";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { SectionHeader } from "../../components/Toolbar";
import { useDeleteMaintenanceWindow, useMaintenanceWindow } from "./data";
import { WeekStrip } from "./WeekStrip";
import { WindowDialog } from "./WindowDialog";
import { durationText, endOf, parseWindow, weekTimeText, type WeeklyWindow } from "./windows";
import classes from "./maintenance.module.css";

/** The maintenance window of a cluster. */
export function MaintenanceWindow({ cluster }: { cluster: Cluster }) {
  const { data, error, refetch } = useMaintenanceWindow(cluster.id);
  const [open, setOpen] = useState<"set" | "delete" | null>(null);
  const canSet = useAllowed(cluster, "SetMaintenanceWindow") && cluster.state !== "DELETED";
  const canDelete = useAllowed(cluster, "DeleteMaintenanceWindow") && cluster.state !== "DELETED";
  const window = data ? parseWindow(data) : null;
  const close = () => setOpen(null);
  return (
    <section aria-labelledby="maintenance-window">
      <Stack gap="xs">
        <SectionHeader
          id="maintenance-window"
          title="Maintenance window"
          text="The time of each week in which patches are applied."
          actions={
            data !== undefined && (
              <Group gap="xs">
                {canSet && (
                  <Button
                    variant="default"
                    leftSection={window ? <IconPencil size={16} aria-hidden /> : <IconPlus size={16} aria-hidden />}
                    onClick={() => setOpen("set")}
                  >
                    {window ? "Edit maintenance window" : "Set maintenance window"}
                  </Button>
                )}
                {canDelete && window && (
                  <Button
                    variant="default"
                    leftSection={<IconTrash size={16} aria-hidden />}
                    onClick={() => setOpen("delete")}
                  >
                    Delete maintenance window
                  </Button>
                )}
              </Group>
            )
          }
        />
        {window ? (
          <Details window={window} />
        ) : data === null ? (
          <div className="panel">
            <EmptyState
              icon={IconCalendarTime}
              title="No maintenance window"
              text="Set a maintenance window to choose the day and the time at which patches are applied."
            />
          </div>
        ) : error ? (
          <ErrorAlert title="Couldn't load the maintenance window" error={error} retry={() => void refetch()} />
        ) : (
          <Skeleton height={180} radius="md" role="status" aria-label="Loading" />
        )}
      </Stack>
      {open === "set" && <WindowDialog cluster={cluster.id} current={window} onClose={close} />}
      {open === "delete" && <DeleteDialog cluster={cluster.id} onClose={close} />}
    </section>
  );
}

function Details({ window }: { window: WeeklyWindow }) {
  return (
    <div className={`panel ${classes.box}`}>
      <WeekStrip window={window} />
      <DescriptionList
        variant="rows"
        items={[
          { term: "Start", value: weekTimeText(window.offset) },
          { term: "End", value: weekTimeText(endOf(window)) },
          { term: "Duration", value: durationText(window.duration) },
        ]}
      />
    </div>
  );
}

function DeleteDialog({ cluster, onClose }: { cluster: string; onClose: () => void }) {
  const remove = useDeleteMaintenanceWindow(cluster);
  return (
    <ConfirmDialog
      onClose={onClose}
      title="Delete maintenance window?"
      action="Delete maintenance window"
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(undefined, { onSuccess: onClose })}
    >
      The cluster will have no maintenance window until you set another one.
    </ConfirmDialog>
  );
}
