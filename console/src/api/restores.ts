/** The restores into a cluster. */
import { useQuery } from "@tanstack/react-query";
import { api, fetchAllPages, pageQuery, unwrap, type Schemas } from "./client";
import { keys } from "./queries";

export type Restore = Schemas["Restore"];

/** How often the progress of a running restore is read. */
const POLL_MS = 1_000;

export function isRunning(restore: Restore): boolean {
  return restore.status === "PENDING";
}

/** The time of the restored data. */
export function restoredTime(restore: Restore): string {
  return restore.point_in_time ?? restore.backup_end_time;
}

/** The progress from 0 to 100. */
export function percentOf(restore: Restore): number {
  return Math.round(restore.completion_percent * 100);
}

/** The restores into a cluster, newest first. */
export function useRestores(cluster: string, enabled = true) {
  return useQuery({
    queryKey: keys.restores(cluster),
    enabled,
    queryFn: ({ signal }) =>
      fetchAllPages<Restore>(async (page) => {
        const query = { ...pageQuery(page), "pagination.sort_order": "DESC" as const };
        const params = { path: { cluster_id: cluster }, query };
        const answer = await unwrap(api.GET("/api/v1/clusters/{cluster_id}/restores", { params, signal }));
        return { items: answer.restores, next: answer.pagination.next_page };
      }),
    // Progress changes without an event.
    refetchInterval: (query) => (query.state.data?.some(isRunning) ? POLL_MS : false),
  });
}
