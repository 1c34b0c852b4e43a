/**
 * The server's rules for names, passwords, labels, backup schedules, maintenance windows, and blackout windows. The
 * OpenAPI document does not hold them, so this is their only copy in the console; tests/limits.spec.ts compares them
 * with the server. A rule for input has a sentence that forms show before the user submits, and a function that returns
 * an error or null.
 */

export const MIN_PASSWORD_LENGTH = 12;
const MAX_PASSWORD_BYTES = 1024;

export const PASSWORD_RULE = `Use at least ${MIN_PASSWORD_LENGTH} characters.`;
export const SQL_NAME_RULE =
  "Use 1 to 63 letters, digits, underscores, periods, and hyphens. Start with a letter, digit, or underscore.";
export const CLUSTER_NAME_RULE =
  "Use 6 to 57 lowercase letters, digits, and hyphens. Start and end with a letter or digit.";
export const FOLDER_NAME_RULE =
  "Use 3 to 40 letters, digits, spaces, hyphens, apostrophes, and underscores. Start and end with a letter or digit.";
export const LABELS_RULE =
  "Use lowercase letters, digits, underscores, and hyphens. A key starts with a letter. Keys and values have at most 63 characters.";

const RESERVED_SQL_USERS = ["admin", "node", "none", "ootheca", "postgres", "public", "root"];
const RESERVED_DATABASES = ["postgres", "system", "template0", "template1"];
const SQL_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/;
const CLUSTER_NAME = /^[a-z0-9]([a-z0-9-]{4,55})[a-z0-9]$/;
const FOLDER_NAME = /^[A-Za-z0-9][A-Za-z0-9 '_-]{1,38}[A-Za-z0-9]$/;
const LABEL_KEY = /^[a-z][a-z0-9_-]{0,62}$/;
const LABEL_VALUE = /^[a-z0-9_-]{0,63}$/;

export const MAX_CLUSTER_NAME_LENGTH = 57;
export const MAX_LABELS = 50;
export const MAX_REGIONS = 6;
export const MIN_VCPUS = 2;
export const MAX_VCPUS = 200;
export const NODE_VCPUS = [2, 4, 8, 16, 32, 64];
export const MIN_STORAGE_GIB = 15;
export const MAX_STORAGE_GIB_PER_VCPU = 320;
export const MAX_NETWORK_NAME_LENGTH = 255;

/** In minutes. */
export const BACKUP_FREQUENCIES = [5, 10, 15, 30, 60, 240, 1440];
/** In days. */
export const BACKUP_RETENTIONS = [2, 7, 30, 90, 365];
/** In hours: at least six, and less than a week. */
export const MAINTENANCE_WINDOW_HOURS = [6, 8, 10, 12, 18, 24, 48, 72, 96, 120, 144];

const DAY_MS = 86_400_000;
const BLACKOUT_NOTICE_DAYS = 7;
const MAX_BLACKOUT_DAYS = 14;
export const BLACKOUT_START_RULE = `Use a time at least ${BLACKOUT_NOTICE_DAYS} days from now.`;
export const BLACKOUT_END_RULE = `Use a time after the start, at most ${MAX_BLACKOUT_DAYS} days later, and within three months from now.`;

export type LabelRow = [key: string, value: string];

export function sqlUserNameError(name: string): string | null {
  if (!SQL_NAME.test(name)) return SQL_NAME_RULE;
  const lower = name.toLowerCase();
  return lower.startsWith("pg_") || RESERVED_SQL_USERS.includes(lower) ? `The name “${name}” is reserved.` : null;
}

export function databaseNameError(name: string): string | null {
  if (!SQL_NAME.test(name)) return SQL_NAME_RULE;
  return RESERVED_DATABASES.includes(name.toLowerCase()) ? `The name “${name}” is reserved.` : null;
}

export function passwordError(password: string): string | null {
  if ([...password].length < MIN_PASSWORD_LENGTH) return PASSWORD_RULE;
  const bytes = new TextEncoder().encode(password).length;
  if (bytes > MAX_PASSWORD_BYTES) return `Use at most ${MAX_PASSWORD_BYTES.toLocaleString("en-US")} bytes.`;
  return password.includes("\0") ? "Don't use zero bytes." : null;
}

export function clusterNameError(name: string): string | null {
  return CLUSTER_NAME.test(name) ? null : CLUSTER_NAME_RULE;
}

export function folderNameError(name: string): string | null {
  return FOLDER_NAME.test(name.trim()) ? null : FOLDER_NAME_RULE;
}

export function labelsError(rows: LabelRow[]): string | null {
  const used = rows.filter(([key, value]) => key || value);
  if (used.length > MAX_LABELS) return `Use at most ${MAX_LABELS} labels.`;
  for (const [key, value] of used) {
    if (!LABEL_KEY.test(key)) return `The key “${key}” isn't valid. ${LABELS_RULE}`;
    if (!LABEL_VALUE.test(value)) return `The value “${value}” isn't valid. ${LABELS_RULE}`;
  }
  const keys = new Set(used.map(([key]) => key));
  return keys.size < used.length ? "Each key can be used only once." : null;
}

export function vcpusError(vcpus: number): string | null {
  return vcpus >= MIN_VCPUS && vcpus <= MAX_VCPUS ? null : `Use ${MIN_VCPUS} to ${MAX_VCPUS} vCPUs.`;
}

export function storageError(gib: number, vcpus: number): string | null {
  const max = vcpus * MAX_STORAGE_GIB_PER_VCPU;
  return gib >= MIN_STORAGE_GIB && gib <= max ? null : `Use ${MIN_STORAGE_GIB} to ${max} GiB with ${vcpus} vCPUs.`;
}

/** The labels of a form, without empty rows. */
export function labelsFromRows(rows: LabelRow[]): Record<string, string> {
  return Object.fromEntries(rows.filter(([key]) => key));
}

/** Times are in milliseconds, or NaN if they are incomplete. */
export function blackoutStartError(start: number, now: number): string | null {
  return start >= now + BLACKOUT_NOTICE_DAYS * DAY_MS ? null : BLACKOUT_START_RULE;
}

/** Only the server checks that the end is within three months, because it counts them with its own clock. */
export function blackoutEndError(start: number, end: number): string | null {
  return end > start && end <= start + MAX_BLACKOUT_DAYS * DAY_MS ? null : BLACKOUT_END_RULE;
}
