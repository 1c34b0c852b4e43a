/** The time that the charts show, as it stands in the URL: a length up to now, or two moments. */
import type { Range } from "../../components/TimeRange";

export const CUSTOM = "custom";

export const RANGES: Range[] = [
  { value: "15m", label: "15 min", seconds: 900 },
  { value: "1h", label: "1 h", seconds: 3_600 },
  { value: "6h", label: "6 h", seconds: 21_600 },
  { value: "24h", label: "24 h", seconds: 86_400 },
  { value: "7d", label: "7 d", seconds: 604_800 },
  { value: "30d", label: "30 d", seconds: 2_592_000 },
  { value: "90d", label: "90 d", seconds: 7_776_000 },
];

export const CHOICES: Range[] = [...RANGES, { value: CUSTOM, label: "Custom", seconds: 0 }];

const DEFAULT = RANGES[1] as Range;

/** Either a length that moves on with the time, or two moments that stand still. */
export type Span = { value: string; seconds: number; fixed?: { from: number; to: number } };

/** What the URL says; what it says wrongly is left out. */
export function spanOf(search: Record<string, string | undefined>): Span {
  const from = Date.parse(search.from ?? "");
  const to = Date.parse(search.to ?? "");
  if (from < to) return { value: CUSTOM, seconds: (to - from) / 1000, fixed: { from, to } };
  const range = RANGES.find((range) => range.value === search.range) ?? DEFAULT;
  return { value: range.value, seconds: range.seconds };
}

/** The moments to ask for. */
export function momentsOf(span: Span, now: number): { from: Date; to: Date } {
  if (span.fixed) return { from: new Date(span.fixed.from), to: new Date(span.fixed.to) };
  return { from: new Date(now - span.seconds * 1000), to: new Date(now) };
}

/** What the URL becomes when `value` is chosen; a custom time begins with what was shown. */
export function searchFor(value: string, before: Span, now: number): Record<string, string | undefined> {
  if (value !== CUSTOM) return { range: value === DEFAULT.value ? undefined : value, from: undefined, to: undefined };
  const { from, to } = momentsOf(before, now);
  return { range: undefined, from: from.toISOString(), to: to.toISOString() };
}
