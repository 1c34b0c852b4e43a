/** Mutations of SQL users. Their dialogs show the errors. */
import { api, unwrap } from "../../api/client";
import { keys } from "../../api/queries";
import { useNotifiedMutation } from "../../components/useNotifiedMutation";

export function useChangePassword(cluster: string) {
  return useNotifiedMutation({
    mutationFn: ({ name, password }: { name: string; password: string }) =>
      unwrap(
        api.PUT("/api/v1/clusters/{cluster_id}/sql-users/{name}/password", {
          params: { path: { cluster_id: cluster, name } },
          body: { password },
        }),
      ),
    errorTitle: null,
  });
}

export function useDeleteSqlUser(cluster: string) {
  return useNotifiedMutation({
    mutationFn: (name: string) =>
      unwrap(
        api.DELETE("/api/v1/clusters/{cluster_id}/sql-users/{name}", {
          params: { path: { cluster_id: cluster, name } },
        }),
      ),
    invalidates: [keys.sqlUsers(cluster)],
    successMessage: (user) => `SQL user ${user.name} deleted`,
    errorTitle: null,
  });
}
