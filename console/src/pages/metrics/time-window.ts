/** The time window of the charts, as the URL holds it: a range up to now, or a fixed start and end. */
import { CHART_RANGES, chartRange, DEFAULT_CHART_RANGE } from "../../lib/time-ranges";

const CUSTOM = "custom";

export const OPTIONS = [...CHART_RANGES, { value: CUSTOM, label: "Custom" }];

export type TimeWindow = { value: string; seconds: number; fixed?: { from: number; to: number } };

/** Reads the window from the URL. Invalid parameters are ignored. */
export function windowOf(search: Record<string, string | undefined>): TimeWindow {
  const from = Date.parse(search.from ?? "");
  const to = Date.parse(search.to ?? "");
  if (from < to) return { value: CUSTOM, seconds: (to - from) / 1000, fixed: { from, to } };
  const { value, seconds } = chartRange(search.range);
  return { value, seconds };
}

/** The start and end of the window. */
export function boundsOf(window: TimeWindow, now: number): { from: Date; to: Date } {
  if (window.fixed) return { from: new Date(window.fixed.from), to: new Date(window.fixed.to) };
  return { from: new Date(now - window.seconds * 1000), to: new Date(now) };
}

/** The search parameters after `value` is selected. A custom window starts with the current bounds. */
export function searchFor(value: string, current: TimeWindow, now: number): Record<string, string | undefined> {
  if (value !== CUSTOM) {
    return { range: value === DEFAULT_CHART_RANGE ? undefined : value, from: undefined, to: undefined };
  }
  const { from, to } = boundsOf(current, now);
  return { range: undefined, from: from.toISOString(), to: to.toISOString() };
}
