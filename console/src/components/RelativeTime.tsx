import { formatDateTime, formatRelative } from "../lib/format";
import { useNow } from "../lib/useNow";

interface Props {
  time: string | null | undefined;
  /** Whether the time can be in the future. Otherwise a server clock that is ahead reads as `just now`. */
  future?: boolean;
}

/** A relative time; the exact one shows on hover. */
export function RelativeTime({ time, future = false }: Props) {
  const now = useNow();
  if (!time) return <span>–</span>;
  const shown = new Date(future ? time : Math.min(Date.parse(time), now));
  return (
    <time dateTime={time} className="tabular" title={formatDateTime(time)}>
      {formatRelative(shown, now)}
    </time>
  );
}
