/** Mutations of databases. Their dialogs show the errors. */
import { api, unwrap } from "../../api/client";
import { keys } from "../../api/queries";
import { useNotifiedMutation } from "../../components/useNotifiedMutation";

export function useCreateDatabase(cluster: string) {
  return useNotifiedMutation({
    mutationFn: (name: string) =>
      unwrap(
        api.POST("/api/v1/clusters/{cluster_id}/databases", {
          params: { path: { cluster_id: cluster } },
          body: { name },
        }),
      ),
    invalidates: [keys.databases(cluster)],
    successMessage: (database) => `Database ${database.name} created`,
    errorTitle: null,
  });
}

export function useRenameDatabase(cluster: string) {
  return useNotifiedMutation({
    mutationFn: ({ name, newName }: { name: string; newName: string }) =>
      unwrap(
        api.PATCH("/api/v1/clusters/{cluster_id}/databases/{name}", {
          params: { path: { cluster_id: cluster, name } },
          body: { new_name: newName },
        }),
      ),
    invalidates: [keys.databases(cluster)],
    successMessage: (database) => `Database renamed to ${database.name}`,
    errorTitle: null,
  });
}

export function useDeleteDatabase(cluster: string) {
  return useNotifiedMutation({
    mutationFn: (name: string) =>
      unwrap(
        api.DELETE("/api/v1/clusters/{cluster_id}/databases/{name}", {
          params: { path: { cluster_id: cluster, name } },
        }),
      ),
    invalidates: [keys.databases(cluster)],
    successMessage: (database) => `Database ${database.name} deleted`,
    errorTitle: null,
  });
}
