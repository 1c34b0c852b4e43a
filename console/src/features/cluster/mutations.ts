/** Changes to a cluster that more than one page offers. */
import { api, unwrap, type Cluster, type Schemas } from "../../api/client";
import { keys, queryClient, refreshInList } from "../../api/queries";
import { useNotifiedMutation } from "../../components/useNotifiedMutation";

export type ClusterUpdate = Schemas["UpdateClusterRequest"];

interface Options {
  successMessage: string | ((cluster: Cluster) => string);
  errorTitle?: string | null;
  onSuccess?: () => void;
}

/** Updates a cluster and shows the response at once. */
export function useUpdateCluster(cluster: Cluster, { successMessage, errorTitle, onSuccess }: Options) {
  return useNotifiedMutation<Cluster, ClusterUpdate>({
    mutationFn: (body) =>
      unwrap(api.PATCH("/api/v1/clusters/{cluster_id}", { params: { path: { cluster_id: cluster.id } }, body })),
    successMessage,
    errorTitle,
    onSuccess: (updated) => {
      queryClient.setQueryData(keys.cluster(updated.id), updated);
      void refreshInList(queryClient, updated.id);
      onSuccess?.();
    },
  });
}

export function useDeleteCluster(cluster: Cluster, onSuccess: () => void) {
  return useNotifiedMutation<Cluster, void>({
    mutationFn: () =>
      unwrap(api.DELETE("/api/v1/clusters/{cluster_id}", { params: { path: { cluster_id: cluster.id } } })),
    successMessage: `Cluster ${cluster.name} deleted`,
    errorTitle: null,
    onSuccess: () => {
      void refreshInList(queryClient, cluster.id);
      onSuccess();
    },
  });
}
