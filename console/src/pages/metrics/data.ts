import { useQuery } from "@tanstack/react-query";
import { samples } from "../../api/extensions";
import { keys } from "../../api/queries";
import { boundsOf, type TimeWindow } from "./time-window";

const POINTS = 300;
/** The server takes a sample every 10 seconds. */
const SAMPLE_INTERVAL_MS = 10_000;

/** The samples of a cluster in a time window. */
export function useMetrics(cluster: string, window: TimeWindow) {
  return useQuery({
    queryKey: [...keys.samples(cluster), "metrics", window.value, window.fixed?.from, window.fixed?.to],
    queryFn: ({ signal }) => {
      const { from, to } = boundsOf(window, Date.now());
      return samples(cluster, from, to, POINTS, signal);
    },
    refetchInterval: window.fixed ? false : Math.max(SAMPLE_INTERVAL_MS, (window.seconds * 1000) / POINTS),
    placeholderData: (previous) => previous,
  });
}
