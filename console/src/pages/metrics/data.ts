/** The samples that the charts show. */
import { useQuery } from "@tanstack/react-query";
import { samples } from "../../api/extensions";
import { keys } from "../../api/queries";
import { momentsOf, type Span } from "./range";

const POINTS = 300;
/** Samples are taken each 10 s. */
const SAMPLED_MS = 10_000;

export function useMetrics(cluster: string, span: Span) {
  return useQuery({
    queryKey: [...keys.samples(cluster), "metrics", span.value, span.fixed?.from, span.fixed?.to],
    queryFn: ({ signal }) => {
      const { from, to } = momentsOf(span, Date.now());
      return samples(cluster, from, to, POINTS, signal);
    },
    refetchInterval: span.fixed ? false : Math.max(SAMPLED_MS, (span.seconds * 1000) / POINTS),
    placeholderData: (before) => before,
  });
}
