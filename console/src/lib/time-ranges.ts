/** The time ranges that charts and the audit log offer. */
export interface TimeRange {
  value: string;
  /** For a row of buttons. */
  label: string;
  /** For a list. */
  longLabel: string;
  seconds: number;
}

const HOUR = 3_600;
const DAY = 24 * HOUR;

const ALL: TimeRange[] = [
  { value: "15m", label: "15 min", longLabel: "Last 15 minutes", seconds: HOUR / 4 },
  { value: "1h", label: "1 h", longLabel: "Last hour", seconds: HOUR },
  { value: "6h", label: "6 h", longLabel: "Last 6 hours", seconds: 6 * HOUR },
  { value: "24h", label: "24 h", longLabel: "Last 24 hours", seconds: DAY },
  { value: "48h", label: "48 h", longLabel: "Last 48 hours", seconds: 2 * DAY },
  { value: "7d", label: "7 d", longLabel: "Last 7 days", seconds: 7 * DAY },
  { value: "30d", label: "30 d", longLabel: "Last 30 days", seconds: 30 * DAY },
  { value: "90d", label: "90 d", longLabel: "Last 90 days", seconds: 90 * DAY },
];

const pick = (...values: string[]) => ALL.filter(({ value }) => values.includes(value));

/** The server keeps samples for 90 days. */
export const CHART_RANGES = pick("15m", "1h", "6h", "24h", "7d", "30d", "90d");
export const AUDIT_RANGES = pick("1h", "24h", "48h", "7d", "30d");

export const DEFAULT_CHART_RANGE = "1h";
export const DEFAULT_AUDIT_RANGE = "48h";

/** The range with this value, else the default one. */
export function chartRange(value: string | undefined): TimeRange {
  const found = CHART_RANGES.find((range) => range.value === value);
  return found ?? (CHART_RANGES.find((range) => range.value === DEFAULT_CHART_RANGE) as TimeRange);
}
