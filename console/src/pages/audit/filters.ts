/** The filters of the audit log: as they stand in the URL, and what they let through. */
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

/** Everything the URL says. `startingFrom` and `endingAt` win over `range`. */
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

export const RANGES = [
  { value: "1h", label: "Last hour", hours: 1 },
  { value: "24h", label: "Last 24 hours", hours: 24 },
  { value: "48h", label: "Last 48 hours", hours: 48 },
  { value: "7d", label: "Last 7 days", hours: 24 * 7 },
  { value: "30d", label: "Last 30 days", hours: 24 * 30 },
  { value: "all", label: "Since the beginning", hours: Infinity },
  { value: "custom", label: "Between two moments", hours: Infinity },
];

export const DEFAULT_RANGE = "48h";

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

/** The range that is chosen, a custom one where moments stand in the URL. */
export function rangeOf(search: AuditSearch): string {
  if (search.startingFrom || search.endingAt) return "custom";
  return RANGES.some((range) => range.value === search.range) ? search.range! : DEFAULT_RANGE;
}

/** The first moment that is shown, in milliseconds; -Infinity for the beginning. */
export function earliest(search: AuditSearch, now: number): number {
  const from = search.startingFrom ? Date.parse(search.startingFrom) : NaN;
  if (!Number.isNaN(from)) return from;
  const hours = RANGES.find((range) => range.value === rangeOf(search))?.hours ?? Infinity;
  return hours === Infinity ? -Infinity : now - hours * 3_600_000;
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

/** `CREATE_CLUSTER` as a sentence begins: “Create cluster”. */
export function actionLabel(action: string): string {
  const words = bareAction(action).toLowerCase().replaceAll("_", " ");
  const text = words.replace(/\b(sql|ip|api|jwt|cmek|ca|ttl)\b/g, (word) => word.toUpperCase());
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function actorOf(entry: Entry): string {
  return entry.user_email || entry.service_account_name || entry.system_actor_name || "Unknown";
}

export function passes(entry: Entry, search: AuditSearch): boolean {
  if (search.action && bareAction(entry.action) !== search.action) return false;
  if (search.actor && !actorOf(entry).toLowerCase().includes(search.actor.toLowerCase())) return false;
  if (search.outcome === "failed" && !entry.error) return false;
  if (search.outcome === "done" && entry.error) return false;
  const cluster = search.cluster?.toLowerCase();
  if (!cluster) return true;
  return entry.cluster_id === cluster || (entry.cluster_name ?? "").toLowerCase().includes(cluster);
}
