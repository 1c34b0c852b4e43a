/** Formats numbers, sizes, dates and times for display. Every page uses these functions. */

const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const plain = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });

/** `1,182`, or `50M` from 100,000. */
export function formatNumber(value: number): string {
  return Math.abs(value) >= 100_000 ? compact.format(value) : plain.format(value);
}

/** `1 cluster` or `10,000 clusters`. Counts are never abbreviated. */
export function formatCount(value: number, noun: string): string {
  return `${plain.format(value)} ${value === 1 ? noun : `${noun}s`}`;
}

/** A measured value with three significant digits: `1,182`, `38.4` or `0.25`. */
export function formatMeasurement(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}

/** Bytes in binary units: `10 GiB`. */
export function formatBytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  while (Math.abs(value) >= 1024 && step < units.length - 1) {
    value /= 1024;
    step += 1;
  }
  return `${value >= 100 || step === 0 ? Math.round(value) : Number(value.toFixed(1))} ${units[step]}`;
}

/** `< 1 ms`, `12 ms` or `1.50 s`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1) return "< 1 ms";
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(2)} s`;
}

const dateTime = new Intl.DateTimeFormat("en-US", {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
  timeZoneName: "short",
});
const clockTime = new Intl.DateTimeFormat("en-US", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat("en-US", { month: "short", day: "numeric" });
const month = new Intl.DateTimeFormat("en-US", { month: "long", year: "numeric", timeZone: "UTC" });

/** `Nov 29, 2026, 16:03:50 UTC`, in the time zone of the browser. */
export function formatDateTime(time: Date | string | number): string {
  return dateTime.format(new Date(time));
}

/** `16:03`. */
export function formatClockTime(time: Date): string {
  return clockTime.format(time);
}

/** `Nov 29`. */
export function formatDay(time: Date): string {
  return day.format(time);
}

/** `2026-11` as `November 2026`. */
export function formatMonth(text: string): string {
  const time = new Date(`${text}-01T00:00:00Z`);
  return Number.isNaN(time.getTime()) ? text : month.format(time);
}

const relative = new Intl.RelativeTimeFormat("en-US", { numeric: "auto" });
const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["week", 604_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** `3 minutes ago` or `in 3 minutes`. */
export function formatRelative(time: Date, now: number): string {
  const seconds = (time.getTime() - now) / 1000;
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return relative.format(Math.trunc(seconds / length), unit);
  }
  return seconds > 0 ? "in less than a minute" : "just now";
}

/** The value of a `datetime-local` input, in the time zone of the browser. */
export function toLocalInput(time: Date | string | number | undefined): string {
  const date = time === undefined ? new Date(NaN) : new Date(time);
  if (Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
