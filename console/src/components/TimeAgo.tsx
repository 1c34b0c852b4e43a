import { ago, moment, useNow } from "./time";

/** How long ago; the moment itself shows on hover. */
export function TimeAgo({ time }: { time: string | null | undefined }) {
  const now = useNow();
  if (!time) return <span>–</span>;
  return (
    <time dateTime={time} className="tabular" title={moment(time)}>
      {ago(new Date(time), Math.max(now, Date.now() - 15_000))}
    </time>
  );
}
