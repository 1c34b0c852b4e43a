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

const DATE_TIME: Intl.DateTimeFormatOptions = {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
  timeZoneName: "short",
};
const dateTime = new Intl.DateTimeFormat("en-US", DATE_TIME);
const utcDateTime = new Intl.DateTimeFormat("en-US", { ...DATE_TIME, timeZone: "UTC" });
const clockTime = new Intl.DateTimeFormat("en-US", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const zonedTime = new Intl.DateTimeFormat("en-US", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
  timeZoneName: "short",
});
const day = new Intl.DateTimeFormat("en-US", { month: "short", day: "numeric" });
const date = new Intl.DateTimeFormat("en-US", { weekday: "short", year: "numeric", month: "short", day: "numeric" });
const month = new Intl.DateTimeFormat("en-US", { month: "long", year: "numeric", timeZone: "UTC" });

/** `Nov 29, 2026, 16:03:50 UTC`, in the time zone of the browser. */
export function formatDateTime(time: Date | string | number): string {
  return dateTime.format(new Date(time));
}

/** `Nov 29, 2026, 16:03:50 UTC`, in every time zone. */
export function formatUtcDateTime(time: Date | string | number): string {
  return utcDateTime.format(new Date(time));
}

/** `16:03`. */
export function formatClockTime(time: Date): string {
  return clockTime.format(time);
}

/** `16:03:50 UTC`, in the time zone of the browser. */
export function formatTime(time: Date | string | number): string {
  return zonedTime.format(new Date(time));
}

/** `Sun, Nov 29, 2026`, in the time zone of the browser. */
export function formatDate(time: Date | string | number): string {
  return date.format(new Date(time));
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

const MINUTE_MS = 60_000;

/** A time that remains, in milliseconds: `1 min`, `3 h` or `5 days`. */
export function formatRemaining(milliseconds: number): string {
  const minutes = Math.max(1, Math.round(milliseconds / MINUTE_MS));
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : formatCount(Math.round(hours / 24), "day");
}

/** The value of a `datetime-local` input in the time zone of the browser: to the minute, or to the second. */
export function toLocalInput(time: Date | string | number | undefined, seconds = false): string {
  const date = time === undefined ? new Date(NaN) : new Date(time);
  if (Number.isNaN(date.getTime())) return "";
  const text = toUtcInput(date.getTime() - date.getTimezoneOffset() * MINUTE_MS);
  return seconds ? text : text.slice(0, 16);
}

/** The value of a `datetime-local` input in UTC. Like in a browser, it has seconds only if they are not zero. */
export function toUtcInput(time: string | number): string {
  const text = new Date(time).toISOString().slice(0, 19);
  return text.endsWith(":00") ? text.slice(0, 16) : text;
}

/** The time of a `datetime-local` input in UTC, in milliseconds; NaN if the input is incomplete. */
export function fromUtcInput(text: string): number {
  return text === "" ? NaN : Date.parse(`${text}Z`);
}
