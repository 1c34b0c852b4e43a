import { formatDateTime, formatUtcDateTime } from "../lib/format";

/** A time in the time zone of the browser, and also in UTC if that is another one. */
export function ZonedTime({ time }: { time: string }) {
  const [local, utc] = [formatDateTime(time), formatUtcDateTime(time)];
  return (
    <time dateTime={time} className="tabular">
      <strong>{local}</strong>
      {utc !== local && ` (${utc})`}
    </time>
  );
}
