import { Tooltip } from "@mantine/core";
import { ago, moment, useNow } from "./time";

/** How long ago; the moment itself shows on hover. */
export function TimeAgo({ time }: { time: string | null | undefined }) {
  const now = useNow();
  if (!time) return <span>–</span>;
  return (
    <Tooltip label={moment(time)}>
      <time dateTime={time} className="tabular">
        {ago(new Date(time), Math.max(now, Date.now() - 15_000))}
      </time>
    </Tooltip>
  );
}
