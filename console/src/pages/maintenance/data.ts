/** The maintenance settings of a cluster and their mutations. Dialogs show the errors of their mutations. */
import { useQuery } from "@tanstack/react-query";
import { api, ApiError, fetchAllPages, pageQuery, unwrap, type Schemas } from "../../api/client";
import { keys, queryClient } from "../../api/queries";
import { useNotifiedMutation } from "../../components/useNotifiedMutation";
import {
  changedTimes,
  type BlackoutTimes,
  type BlackoutWindow,
  type DeferralPolicy,
  type MaintenanceWindow,
} from "./windows";

/** The maintenance window, or `null` without one. */
export function useMaintenanceWindow(cluster: string) {
  return useQuery({
    queryKey: keys.maintenanceWindow(cluster),
    queryFn: async ({ signal }): Promise<MaintenanceWindow | null> => {
      const params = { path: { cluster_id: cluster } };
      try {
        return await unwrap(api.GET("/api/v1/clusters/{cluster_id}/maintenance-window", { params, signal }));
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return null;
        throw error;
      }
    },
  });
}

export function useSetMaintenanceWindow(cluster: string) {
  return useNotifiedMutation<MaintenanceWindow, MaintenanceWindow>({
    mutationFn: (body) =>
      unwrap(
        api.PUT("/api/v1/clusters/{cluster_id}/maintenance-window", {
          params: { path: { cluster_id: cluster } },
          body,
        }),
      ),
    successMessage: "Maintenance window updated",
    errorTitle: null,
    onSuccess: (updated) => {
      queryClient.setQueryData(keys.maintenanceWindow(cluster), updated);
    },
  });
}

export function useDeleteMaintenanceWindow(cluster: string) {
  return useNotifiedMutation<MaintenanceWindow>({
    mutationFn: () =>
      unwrap(
        api.DELETE("/api/v1/clusters/{cluster_id}/maintenance-window", {
          params: { path: { cluster_id: cluster } },
        }),
      ),
    successMessage: "Maintenance window deleted",
    errorTitle: null,
    onSuccess: () => {
      queryClient.setQueryData(keys.maintenanceWindow(cluster), null);
    },
  });
}

export function useVersionDeferral(cluster: string) {
  return useQuery({
    queryKey: keys.versionDeferral(cluster),
    queryFn: ({ signal }) => {
      const params = { path: { cluster_id: cluster } };
      return unwrap(api.GET("/api/v1/clusters/{cluster_id}/version-deferral", { params, signal }));
    },
  });
}

export function useSetVersionDeferral(cluster: string) {
  return useNotifiedMutation<Schemas["ClusterVersionDeferral"], DeferralPolicy>({
    mutationFn: (deferral_policy) =>
      unwrap(
        api.PUT("/api/v1/clusters/{cluster_id}/version-deferral", {
          params: { path: { cluster_id: cluster } },
          body: { deferral_policy },
        }),
      ),
    successMessage: "Version deferral updated",
    errorTitle: "Couldn't update the version deferral",
    onSuccess: (updated) => {
      queryClient.setQueryData(keys.versionDeferral(cluster), updated);
    },
  });
}

export function useBlackoutWindows(cluster: string) {
  return useQuery({
    queryKey: keys.blackoutWindows(cluster),
    queryFn: ({ signal }) =>
      fetchAllPages<BlackoutWindow>(async (page) => {
        const params = { path: { cluster_id: cluster }, query: pageQuery(page) };
        const answer = await unwrap(api.GET("/api/v1/clusters/{cluster_id}/blackout-windows", { params, signal }));
        return { items: answer.blackout_windows, next: answer.pagination.next_page };
      }),
  });
}

/** Creates a blackout window, or updates the times of `current` that differ. */
export function useSaveBlackoutWindow(cluster: string, current?: BlackoutWindow) {
  return useNotifiedMutation<BlackoutWindow, BlackoutTimes>({
    mutationFn: (times) =>
      current
        ? unwrap(
            api.PATCH("/api/v1/clusters/{cluster_id}/blackout-windows/{blackout_window_id}", {
              params: { path: { cluster_id: cluster, blackout_window_id: current.id } },
              body: changedTimes(current, times),
            }),
          )
        : unwrap(
            api.POST("/api/v1/clusters/{cluster_id}/blackout-windows", {
              params: { path: { cluster_id: cluster } },
              body: times,
            }),
          ),
    invalidates: [keys.blackoutWindows(cluster)],
    successMessage: current ? "Blackout window updated" : "Blackout window created",
    errorTitle: null,
  });
}

export function useDeleteBlackoutWindow(cluster: string) {
  return useNotifiedMutation<BlackoutWindow, string>({
    mutationFn: (id) =>
      unwrap(
        api.DELETE("/api/v1/clusters/{cluster_id}/blackout-windows/{blackout_window_id}", {
          params: { path: { cluster_id: cluster, blackout_window_id: id } },
        }),
      ),
    invalidates: [keys.blackoutWindows(cluster)],
    successMessage: "Blackout window deleted",
    errorTitle: null,
  });
}
