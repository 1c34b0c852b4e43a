/** Maintenance windows, version deferral, and blackout windows, as pure functions. */
import type { Schemas } from "../../api/client";
import { formatCount, fromUtcInput, toUtcInput } from "../../lib/format";

export type MaintenanceWindow = Schemas["MaintenanceWindow"];
export type BlackoutWindow = Schemas["BlackoutWindow"];
export type DeferralPolicy = Schemas["ClusterVersionDeferral"]["deferral_policy"];

const HOUR = 3_600;
export const DAY = 24 * HOUR;
export const WEEK = 7 * DAY;

export const DAY_NAMES = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/** A window of every week, in seconds. `offset` counts from Monday, 00:00 UTC. */
export interface WeeklyWindow {
  offset: number;
  duration: number;
}

/** Parses the durations of the API, such as `172800s`. */
export function parseWindow(window: MaintenanceWindow): WeeklyWindow {
  return {
    offset: Number.parseInt(window.offset_duration, 10),
    duration: Number.parseInt(window.window_duration, 10),
  };
}

/** The window as the API represents it. */
export function renderWindow({ offset, duration }: WeeklyWindow): MaintenanceWindow {
  return { offset_duration: `${offset}s`, window_duration: `${duration}s` };
}

/** The day of a time in the week: 0 is Monday. */
export function dayOf(offset: number): number {
  return Math.floor(offset / DAY);
}

export function dayName(day: number): string {
  return DAY_NAMES[day] ?? "";
}

/** The time of day in seconds as `22:00`, or as `22:00:30`. */
export function timeText(seconds: number): string {
  const text = new Date(seconds * 1000).toISOString().slice(11, 19);
  return text.endsWith(":00") ? text.slice(0, 5) : text;
}

/** `Sunday, 22:00 UTC`. */
export function weekTimeText(offset: number): string {
  return `${dayName(dayOf(offset))}, ${timeText(offset % DAY)} UTC`;
}

/** When a window ends. It can continue into the next week. */
export function endOf({ offset, duration }: WeeklyWindow): number {
  return (offset + duration) % WEEK;
}

/** `6 hours`, or `1 day 4 hours`. */
export function durationText(seconds: number): string {
  const parts: [number, string][] = [
    [Math.floor(seconds / DAY), "day"],
    [Math.floor((seconds % DAY) / HOUR), "hour"],
    [Math.floor((seconds % HOUR) / 60), "minute"],
    [seconds % 60, "second"],
  ];
  return parts
    .filter(([count]) => count > 0)
    .map(([count, noun]) => formatCount(count, noun))
    .join(" ");
}

/** The parts of a week that a window covers: two if it continues into the next week. */
export function segments({ offset, duration }: WeeklyWindow): { start: number; length: number }[] {
  const length = Math.min(duration, WEEK - offset);
  const parts = [
    { start: offset, length },
    { start: 0, length: duration - length },
  ];
  return parts.filter((part) => part.length > 0);
}

/** The values in order, with the current one if it is not among them. */
export function withCurrent(values: number[], current: number): number[] {
  return values.includes(current) ? values : [...values, current].sort((one, other) => one - other);
}

export const POLICIES: { value: DeferralPolicy; label: string }[] = [
  { value: "NOT_DEFERRED", label: "As soon as they are released" },
  { value: "DEFERRAL_30_DAYS", label: "30 days after their release" },
  { value: "DEFERRAL_60_DAYS", label: "60 days after their release" },
  { value: "DEFERRAL_90_DAYS", label: "90 days after their release" },
];

/** The policy with its current name. */
export function currentPolicy(policy: DeferralPolicy): DeferralPolicy {
  return policy === "FIXED_DEFERRAL" ? "DEFERRAL_60_DAYS" : policy;
}

export type BlackoutTimes = Pick<BlackoutWindow, "start_time" | "end_time">;

/** The times of a form: values of `datetime-local` inputs in UTC. */
export interface BlackoutInputs {
  start: string;
  end: string;
}

export function toInputs({ start_time, end_time }: BlackoutTimes): BlackoutInputs {
  return { start: toUtcInput(start_time), end: toUtcInput(end_time) };
}

/** A day that is far enough ahead. */
export function suggestedInputs(now: number): BlackoutInputs {
  const day = DAY * 1000;
  const start = (Math.floor(now / day) + 8) * day;
  return { start: toUtcInput(start), end: toUtcInput(start + day) };
}

/** The times as the API represents them. The inputs must be complete. */
export function toTimes({ start, end }: BlackoutInputs): BlackoutTimes {
  return { start_time: apiTime(start), end_time: apiTime(end) };
}

/** The times that differ from those of a window. */
export function changedTimes(current: BlackoutTimes, wanted: BlackoutTimes): Partial<BlackoutTimes> {
  const { start_time, end_time } = wanted;
  const before = toInputs(current);
  const after = toInputs(wanted);
  return {
    ...(before.start === after.start ? {} : { start_time }),
    ...(before.end === after.end ? {} : { end_time }),
  };
}

function apiTime(input: string): string {
  return `${new Date(fromUtcInput(input)).toISOString().slice(0, 19)}Z`;
}
