import { formatDateTime, formatRelative } from "../lib/format";
import { useNow } from "../lib/useNow";

/** A relative time; the exact one shows on hover. */
export function RelativeTime({ time }: { time: string | null | undefined }) {
  const now = useNow();
  if (!time) return <span>–</span>;
  return (
    <time dateTime={time} className="tabular" title={formatDateTime(time)}>
      {formatRelative(new Date(time), now)}
    </time>
  );
}
