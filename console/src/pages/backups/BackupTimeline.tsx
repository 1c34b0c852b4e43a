import { Button, Skeleton, Stack, Title } from "@mantine/core";
import { IconRestore } from "@tabler/icons-react";
import { useMemo, useState } from "react";
import type { Cluster } from "../../api/client";
import { useAllowed, useCanClone } from "../../api/permissions";
import { backupsDisabled, isBusy } from "../../api/queries";
import { pointOfBackup, type Backup, type RestorePoint } from "../../api/restore-points";
import { DateTimeInput } from "../../components/DateTimeInput";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { SectionHeader } from "../../components/Toolbar";
import { CloneDialog } from "../../features/clone/CloneDialog";
import { formatDateTime, formatTime } from "../../lib/format";
import { useNow } from "../../lib/useNow";
import classes from "./backups.module.css";
import { useBackups, useRestorableSpan } from "./data";
import { MomentPicker } from "./MomentPicker";
import { RestoreDialog } from "./RestoreDialog";
import type { BackupConfiguration } from "./schedule";
import { byDay, emptyText, type Day } from "./timeline";

interface Props {
  cluster: Cluster;
  configuration: BackupConfiguration;
  /** Opens the schedule. Undefined if the user may not edit it. */
  onEditSchedule?: () => void;
}

/** The backups of a cluster, newest first. Each of them, and each moment in between, can be restored and cloned. */
export function BackupTimeline({ cluster, configuration, onEditSchedule }: Props) {
  const [before, setBefore] = useState<string>();
  const [restored, setRestored] = useState<RestorePoint | null>(null);
  const [cloned, setCloned] = useState<RestorePoint | null>(null);
  const { data, error, refetch, hasNextPage, isFetchingNextPage, fetchNextPage } = useBackups(cluster.id, before);
  const backups = useMemo(() => data?.pages.flatMap((page) => page.backups) ?? [], [data]);
  const days = useMemo(() => byDay(backups), [backups]);
  const canRestore = useAllowed(cluster, "CreateRestore");
  const actions = {
    restorable: !isBusy(cluster),
    onRestore: canRestore ? setRestored : undefined,
    onClone: useCanClone(cluster) ? setCloned : undefined,
  };
  const span = useRestorableSpan(cluster.id, canRestore).data;
  return (
    <section aria-labelledby="backups">
      <Stack gap="xs">
        <SectionHeader
          id="backups"
          title="Backups"
          text="Each contains all databases and SQL users as they were at that time."
          actions={
            (before || days.length > 0) && <DateTimeInput label="Taken before" value={before} onChange={setBefore} />
          }
        />
        {error && !data ? (
          <ErrorAlert title="Couldn't load the backups" error={error} retry={() => void refetch()} />
        ) : !data ? (
          <Skeleton height={180} radius="md" role="status" aria-label="Loading" />
        ) : days.length > 0 ? (
          <>
            {span && <MomentPicker span={span} backups={backups} {...actions} />}
            {days.map((day) => (
              <DayPanel key={day.date} day={day} {...actions} />
            ))}
          </>
        ) : before ? (
          <div className="panel">
            <EmptyState icon={IconRestore} title="No backups" text="There are no backups before this time." />
          </div>
        ) : (
          <NoBackups cluster={cluster} configuration={configuration} onEditSchedule={onEditSchedule} />
        )}
        {hasNextPage && (
          <Button
            variant="default"
            size="xs"
            className={classes.more}
            loading={isFetchingNextPage}
            onClick={() => void fetchNextPage()}
          >
            Load older backups
          </Button>
        )}
      </Stack>
      {restored && <RestoreDialog cluster={cluster} point={restored} onClose={() => setRestored(null)} />}
      {cloned && <CloneDialog source={cluster} point={cloned} onClose={() => setCloned(null)} />}
    </section>
  );
}

interface DayProps {
  day: Day;
  /** Whether the cluster can be restored now. */
  restorable: boolean;
  /** Undefined if the user may not restore. */
  onRestore?: (point: RestorePoint) => void;
  /** Undefined if the user may not clone. */
  onClone?: (point: RestorePoint) => void;
}

function DayPanel({ day, ...actions }: DayProps) {
  return (
    <div className={`panel ${classes.day}`}>
      <Title order={3}>{day.date}</Title>
      <ul className={classes.times} aria-label={`Backups of ${day.date}`}>
        {day.backups.map((backup) => (
          <BackupItem key={backup.id} backup={backup} {...actions} />
        ))}
      </ul>
    </div>
  );
}

interface ItemProps extends Omit<DayProps, "day"> {
  backup: Backup;
}

function BackupItem({ backup, restorable, onRestore, onClone }: ItemProps) {
  const time = formatDateTime(backup.as_of_time);
  return (
    <li>
      <time dateTime={backup.as_of_time} className="tabular">
        {formatTime(backup.as_of_time)}
      </time>
      <span className={classes.actions}>
        {onRestore && (
          <Button
            variant="default"
            size="compact-sm"
            disabled={!restorable}
            aria-label={`Restore the backup of ${time}`}
            onClick={() => onRestore(pointOfBackup(backup))}
          >
            Restore
          </Button>
        )}
        {onClone && (
          <Button
            variant="default"
            size="compact-sm"
            aria-label={`Clone the backup of ${time}`}
            onClick={() => onClone(pointOfBackup(backup))}
          >
            Clone
          </Button>
        )}
      </span>
    </li>
  );
}

function NoBackups({ cluster, configuration, onEditSchedule }: Props) {
  const age = useNow() - Date.parse(cluster.created_at ?? "");
  const enable = !configuration.enabled && onEditSchedule;
  const disabled = configuration.enabled ? backupsDisabled(cluster) : undefined;
  const title = disabled ? "Backups are turned off" : "No backups yet";
  return (
    <div className="panel">
      <EmptyState
        icon={IconRestore}
        title={configuration.enabled ? title : "Backups are disabled"}
        text={disabled ?? emptyText(configuration, age)}
        action={enable && <Button onClick={enable}>Enable backups</Button>}
      />
    </div>
  );
}
