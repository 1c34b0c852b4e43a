/** The times to which data can be restored, as pure functions. */
import type { Schemas } from "./client";

export type Backup = Schemas["BackupSummary"];

export interface RestorePoint {
  /** As the API represents it. */
  time: string;
  /** ID of the backup of that time. Without it, the time is any moment between two backups. */
  backup?: string;
}

export function pointOfBackup({ id, as_of_time }: Backup): RestorePoint {
  return { time: as_of_time, backup: id };
}

/** The members of a request that stand for a point. A moment also needs the cluster that it is about. */
export function pointInRequest({ time, backup }: RestorePoint): { backup_id: string } | { point_in_time: string } {
  return backup === undefined ? { point_in_time: time } : { backup_id: backup };
}
