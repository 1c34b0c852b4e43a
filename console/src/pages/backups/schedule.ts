/** Backup schedules, as pure functions. */
import type { Schemas } from "../../api/client";
import { formatCount } from "../../lib/format";

/** `frequency_minutes` and `retention_days` are kept while backups are disabled. */
export type BackupConfiguration = Schemas["BackupConfiguration"];

/** `Every hour`, or `Every 15 minutes`. */
export function frequencyText(minutes: number): string {
  if (minutes === 60) return "Every hour";
  return `Every ${minutes % 60 === 0 ? formatCount(minutes / 60, "hour") : formatCount(minutes, "minute")}`;
}

/** `30 days`. */
export function retentionText(days: number): string {
  return formatCount(days, "day");
}

/** The edits that change something. The server rejects a schedule together with `enabled: false`. */
export function changesOf(
  current: BackupConfiguration,
  edits: Partial<BackupConfiguration>,
): Partial<BackupConfiguration> {
  const { enabled, frequency_minutes, retention_days } = { ...current, ...edits };
  if (!enabled) return current.enabled ? { enabled } : {};
  return {
    ...(current.enabled ? {} : { enabled }),
    ...(frequency_minutes === current.frequency_minutes ? {} : { frequency_minutes }),
    ...(retention_days === current.retention_days ? {} : { retention_days }),
  };
}
