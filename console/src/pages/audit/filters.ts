/** The filters of the audit log: reading them from the URL, and applying them. */
import { AUDIT_RANGES, DEFAULT_AUDIT_RANGE } from "../../lib/time-ranges";

export type Entry = {
  id: string;
  action: string;
  created_at: string;
  cluster_id?: string | null;
  cluster_name?: string | null;
  user_email?: string | null;
  service_account_name?: string | null;
  system_actor_name?: string | null;
  source: string;
  trace_id: string;
  session_id?: string | null;
  metadata?: { ip_address: string } | null;
  payload: string;
  error?: string | null;
};

/** The search parameters of the page. `startingFrom` and `endingAt` take precedence over `range`. */
export type AuditSearch = {
  range?: string;
  startingFrom?: string;
  endingAt?: string;
  action?: string;
  actor?: string;
  cluster?: string;
  outcome?: string;
  logId?: string;
  at?: string;
};

export const RANGE_OPTIONS = [
  ...AUDIT_RANGES.map(({ value, longLabel }) => ({ value, label: longLabel })),
  { value: "all", label: "All time" },
  { value: "custom", label: "Custom range" },
];

export function readSearch(search: Record<string, unknown>): AuditSearch {
  const text = (name: keyof AuditSearch) => {
    const value = search[name];
    return value === undefined || value === null || value === "" ? undefined : String(value);
  };
  return {
    range: text("range"),
    startingFrom: text("startingFrom"),
    endingAt: text("endingAt"),
    action: text("action"),
    actor: text("actor"),
    cluster: text("cluster"),
    outcome: text("outcome"),
    logId: text("logId"),
    at: text("at"),
  };
}

/** The selected range; custom if the URL holds a start or an end. */
export function rangeOf(search: AuditSearch): string {
  if (search.startingFrom || search.endingAt) return "custom";
  const known = RANGE_OPTIONS.find((range) => range.value === search.range);
  return known?.value ?? DEFAULT_AUDIT_RANGE;
}

/** The start of the selected range in milliseconds, or -Infinity. */
export function earliest(search: AuditSearch, now: number): number {
  const from = search.startingFrom ? Date.parse(search.startingFrom) : NaN;
  if (!Number.isNaN(from)) return from;
  const range = AUDIT_RANGES.find(({ value }) => value === rangeOf(search));
  return range ? now - range.seconds * 1000 : -Infinity;
}

export const bareAction = (action: string) => action.replace(/^AUDIT_LOG_ACTION_/, "");
export const bareSource = (source: string) => source.replace(/^AUDIT_LOG_SOURCE_/, "");

const SOURCES: Record<string, string> = {
  CC_API: "API",
  UI: "Console",
  CLI: "Command line",
  INTERNAL: "Server",
  MCP: "MCP",
};

export const sourceLabel = (source: string) => SOURCES[bareSource(source)] ?? bareSource(source);

/** `CREATE_CLUSTER` as `Create cluster`. */
export function actionLabel(action: string): string {
  const words = bareAction(action).toLowerCase().replaceAll("_", " ");
  const text = words.replace(/\b(sql|ip|api|jwt|cmek|ca|ttl)\b/g, (word) => word.toUpperCase());
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function actorOf(entry: Entry): string {
  return entry.user_email || entry.service_account_name || entry.system_actor_name || "Unknown";
}

/** Whether an entry matches the filters other than the time range. */
export function passes(entry: Entry, search: AuditSearch): boolean {
  if (search.action && bareAction(entry.action) !== search.action) return false;
  if (search.actor && !actorOf(entry).toLowerCase().includes(search.actor.toLowerCase())) return false;
  if (search.outcome === "failed" && !entry.error) return false;
  if (search.outcome === "done" && entry.error) return false;
  const cluster = search.cluster?.toLowerCase();
  if (!cluster) return true;
  return entry.cluster_id === cluster || (entry.cluster_name ?? "").toLowerCase().includes(cluster);
}
