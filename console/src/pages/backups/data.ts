/** The backups of a cluster, their configuration, and the mutations. Dialogs show the errors of their mutations. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { api, unwrap, type Schemas } from "../../api/client";
import { keys, queryClient } from "../../api/queries";
import type { Backup } from "../../api/restore-points";
import type { Restore } from "../../api/restores";
import { useNotifiedMutation } from "../../components/useNotifiedMutation";
import type { BackupConfiguration } from "./schedule";
import { spanOf } from "./timeline";

export function useBackupConfiguration(cluster: string) {
  return useQuery({
    queryKey: keys.backupConfiguration(cluster),
    queryFn: ({ signal }) => {
      const params = { path: { cluster_id: cluster } };
      return unwrap(api.GET("/api/v1/clusters/{cluster_id}/backups-config", { params, signal }));
    },
  });
}

/** Updates the backup configuration and shows the response at once. */
export function useUpdateBackupConfiguration(cluster: string) {
  return useNotifiedMutation<BackupConfiguration, Schemas["UpdateBackupConfigurationSpec"]>({
    mutationFn: (body) =>
      unwrap(
        api.PATCH("/api/v1/clusters/{cluster_id}/backups-config", {
          params: { path: { cluster_id: cluster } },
          body,
        }),
      ),
    successMessage: "Backup schedule updated",
    errorTitle: null,
    onSuccess: (updated) => {
      queryClient.setQueryData(keys.backupConfiguration(cluster), updated);
    },
  });
}

/** Backups per request. */
const PAGE = 200;
/** A backup is taken without an event, so the page polls: more often until there is one. */
const POLL_MS = 15_000;
const FIRST_POLL_MS = 2_000;

/** The backups of a cluster, or those before a time: newest first, page by page. */
export function useBackups(cluster: string, before?: string) {
  return useInfiniteQuery({
    queryKey: [...keys.backups(cluster), before ?? ""],
    queryFn: ({ pageParam, signal }) => {
      const query = {
        "pagination.limit": PAGE,
        "pagination.page": pageParam,
        "pagination.sort_order": "DESC" as const,
        end_time: before,
      };
      const params = { path: { cluster_id: cluster }, query };
      return unwrap(api.GET("/api/v1/clusters/{cluster_id}/backups", { params, signal }));
    },
    initialPageParam: "",
    getNextPageParam: (page) => page.pagination.next_page || undefined,
    refetchInterval: ({ state }) => {
      const pages = state.data?.pages ?? [];
      // A refetch reads every page again, and backups in the past don't change.
      if (before || pages.length > 1) return false;
      return pages[0]?.backups.length === 0 ? FIRST_POLL_MS : POLL_MS;
    },
  });
}

/** The times between which every moment can be restored; `null` if there are fewer than two backups. */
export function useRestorableSpan(cluster: string, enabled: boolean) {
  return useQuery({
    queryKey: [...keys.backups(cluster), "span"],
    enabled,
    queryFn: async ({ signal }) => {
      const first = async (order: "ASC" | "DESC"): Promise<Backup | undefined> => {
        const query = { "pagination.limit": 1, "pagination.sort_order": order };
        const params = { path: { cluster_id: cluster }, query };
        const page = await unwrap(api.GET("/api/v1/clusters/{cluster_id}/backups", { params, signal }));
        return page.backups[0];
      };
      return spanOf(...(await Promise.all([first("ASC"), first("DESC")])));
    },
    refetchInterval: POLL_MS,
  });
}

interface NewRestore {
  /** ID of the cluster that gets the data. */
  destination: string;
  body: Schemas["CreateRestoreBody"];
}

/** Starts a restore. */
export function useCreateRestore() {
  return useNotifiedMutation<Restore, NewRestore>({
    mutationFn: ({ destination, body }) =>
      unwrap(
        api.POST("/api/v1/clusters/{destination_cluster_id}/restores", {
          params: { path: { destination_cluster_id: destination } },
          body,
        }),
      ),
    successMessage: "Restore started",
    errorTitle: null,
    onSuccess: (_, { destination }) => {
      void queryClient.invalidateQueries({ queryKey: keys.cluster(destination) });
    },
  });
}
