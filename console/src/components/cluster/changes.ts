/** What is done to a cluster from more than one page. */
import { api, unwrap, type Cluster, type Schemas } from "../../api/client";
import { keys, queryClient, refreshInList } from "../../api/queries";
import { useChange } from "../../shell/mutation";

export type ClusterChange = Schemas["UpdateClusterRequest"];

/** PATCHes a cluster; the answer is shown at once. */
export function useUpdateCluster(cluster: Cluster, done: string, onSuccess?: () => void, failed?: string | null) {
  return useChange<Cluster, ClusterChange>({
    mutationFn: (body) =>
      unwrap(api.PATCH("/api/v1/clusters/{cluster_id}", { params: { path: { cluster_id: cluster.id } }, body })),
    done,
    failed,
    onSuccess: (after) => {
      queryClient.setQueryData(keys.cluster(after.id), after);
      void refreshInList(queryClient, after.id);
      onSuccess?.();
    },
  });
}

export function useDeleteCluster(cluster: Cluster, onSuccess: () => void) {
  return useChange<Cluster, void>({
    mutationFn: () =>
      unwrap(api.DELETE("/api/v1/clusters/{cluster_id}", { params: { path: { cluster_id: cluster.id } } })),
    done: `${cluster.name} is deleted`,
    failed: null,
    onSuccess: () => {
      void refreshInList(queryClient, cluster.id);
      onSuccess();
    },
  });
}
