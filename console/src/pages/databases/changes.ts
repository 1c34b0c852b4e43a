/** The changes of the databases page. A refusal is shown in the dialog that asked. */
import { api, unwrap } from "../../api/client";
import { keys } from "../../api/queries";
import { useChange } from "../../shell/mutation";

export function useCreateDatabase(cluster: string) {
  return useChange({
    mutationFn: (name: string) =>
      unwrap(
        api.POST("/api/v1/clusters/{cluster_id}/databases", {
          params: { path: { cluster_id: cluster } },
          body: { name },
        }),
      ),
    touches: [keys.databases(cluster)],
    done: (database) => `Database ${database.name} is created`,
    failed: null,
  });
}

export function useRenameDatabase(cluster: string) {
  return useChange({
    mutationFn: ({ name, newName }: { name: string; newName: string }) =>
      unwrap(
        api.PATCH("/api/v1/clusters/{cluster_id}/databases/{name}", {
          params: { path: { cluster_id: cluster, name } },
          body: { new_name: newName },
        }),
      ),
    touches: [keys.databases(cluster)],
    done: (database, { name }) => `${name} is now called ${database.name}`,
    failed: null,
  });
}

export function useDeleteDatabase(cluster: string) {
  return useChange({
    mutationFn: (name: string) =>
      unwrap(
        api.DELETE("/api/v1/clusters/{cluster_id}/databases/{name}", {
          params: { path: { cluster_id: cluster, name } },
        }),
      ),
    touches: [keys.databases(cluster)],
    done: (database) => `Database ${database.name} is deleted`,
    failed: null,
  });
}
