import { Button, Group, Text, Title } from "@mantine/core";
import { useState } from "react";
import type { Backup, RestorePoint } from "../../api/restore-points";
import { DateTimeInput } from "../../components/DateTimeInput";
import { formatDateTime } from "../../lib/format";
import classes from "./backups.module.css";
import { momentAt, momentError, shareOf, spanOf, type Span } from "./timeline";

interface Props {
  /** The times that can be restored. */
  span: Span;
  /** The listed backups, newest first. */
  backups: Backup[];
  /** Undefined if the user may not restore. */
  onRestore?: (point: RestorePoint) => void;
  /** Whether the cluster can be restored now. */
  restorable: boolean;
  /** Undefined if the user may not clone. */
  onClone?: (point: RestorePoint) => void;
}

/** Picks a moment between two backups: on a timeline of the listed backups, or as a date and a time with seconds. */
export function MomentPicker({ span, backups, onRestore, restorable, onClone }: Props) {
  const [moment, setMoment] = useState<string | undefined>(() => momentAt(span.last));
  const error = momentError(span, moment);
  const point = moment !== undefined && error === null ? { time: moment } : null;
  const strip = spanOf(backups.at(-1), backups[0]) ?? span;
  return (
    <div className={`panel ${classes.moment}`}>
      <Title order={3}>Any time between backups</Title>
      <Strip span={strip} backups={backups} moment={moment} onChange={setMoment} />
      <div className={classes.pick}>
        <DateTimeInput label="Point in time" seconds value={moment} onChange={setMoment} error={error} />
        <Group gap="xs">
          {onRestore && (
            <Button variant="default" disabled={!point || !restorable} onClick={() => point && onRestore(point)}>
              Restore this time
            </Button>
          )}
          {onClone && (
            <Button variant="default" disabled={!point} onClick={() => point && onClone(point)}>
              Clone this time
            </Button>
          )}
        </Group>
      </div>
    </div>
  );
}

interface StripProps {
  span: Span;
  backups: Backup[];
  moment: string | undefined;
  onChange: (moment: string) => void;
}

/** The timeline: a line for each backup, and a handle at the moment. */
function Strip({ span, backups, moment, onChange }: StripProps) {
  const second = moment === undefined ? span.last : Math.round(Date.parse(moment) / 1000);
  return (
    <div>
      <div className={classes.strip}>
        <div className={classes.ticks} aria-hidden>
          {backups.map(({ id, as_of_time }) => (
            <span key={id} style={{ left: `${shareOf(span, as_of_time) * 100}%` }} />
          ))}
        </div>
        <input
          type="range"
          className={classes.slider}
          aria-label="Timeline"
          aria-valuetext={formatDateTime(momentAt(second))}
          min={span.first}
          max={span.last}
          step={1}
          value={second}
          onChange={(event) => onChange(momentAt(Number(event.currentTarget.value)))}
        />
      </div>
      <div className={classes.ends}>
        <Text span size="xs" c="dimmed">
          {formatDateTime(momentAt(span.first))}
        </Text>
        <Text span size="xs" c="dimmed">
          {formatDateTime(momentAt(span.last))}
        </Text>
      </div>
    </div>
  );
}
