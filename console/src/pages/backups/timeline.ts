/** The timeline of backups, as pure functions. */
import type { Backup } from "../../api/restore-points";
import { formatDate, formatDateTime } from "../../lib/format";
import { frequencyText, type BackupConfiguration } from "./schedule";

export interface Day {
  /** `Sun, Nov 29, 2026`. */
  date: string;
  backups: Backup[];
}

/** The backups of each day in the time zone of the browser, in the same order. */
export function byDay(backups: Backup[]): Day[] {
  const days: Day[] = [];
  for (const backup of backups) {
    const date = formatDate(backup.as_of_time);
    const last = days.at(-1);
    if (last?.date === date) last.backups.push(backup);
    else days.push({ date, backups: [backup] });
  }
  return days;
}

/** A cluster without backups is expected to have one at this age, in milliseconds. */
const FIRST_BACKUP_MS = 60_000;

/** When backups are taken, for a cluster of this age in milliseconds that has none. */
export function emptyText({ enabled, frequency_minutes }: BackupConfiguration, age: number): string {
  const every = frequencyText(frequency_minutes).toLowerCase();
  if (!enabled) return `Enable them in the schedule to take one ${every}.`;
  return age < FIRST_BACKUP_MS
    ? `The first backup is taken ten seconds after the cluster was created, and another one ${every}.`
    : `A backup is taken ${every}. If none appears, see the server log.`;
}

/** A part of the timeline: whole seconds since 1970, both of them included. */
export interface Span {
  first: number;
  last: number;
}

/** The whole seconds from the oldest to the newest of these backups; `null` if there are not two of them. */
export function spanOf(oldest: Backup | undefined, newest: Backup | undefined): Span | null {
  if (!oldest || !newest) return null;
  const first = Math.ceil(Date.parse(oldest.as_of_time) / 1000);
  const last = Math.floor(Date.parse(newest.as_of_time) / 1000);
  return first < last ? { first, last } : null;
}

/** How far a time is from the start of a span to its end, from 0 to 1. */
export function shareOf({ first, last }: Span, time: string): number {
  return Math.min(1, Math.max(0, (Date.parse(time) / 1000 - first) / (last - first)));
}

/** A whole second as the API represents it. */
export function momentAt(second: number): string {
  return new Date(second * 1000).toISOString();
}

/** Why a time can't be restored: it must be in the span. */
export function momentError({ first, last }: Span, time: string | undefined): string | null {
  const second = Date.parse(time ?? "") / 1000;
  if (second >= first && second <= last) return null;
  return `Use a time from ${formatDateTime(momentAt(first))} to ${formatDateTime(momentAt(last))}.`;
}
