/** The changes of the users page. A refusal is shown in the dialog that asked. */
import { api, unwrap } from "../../api/client";
import { keys } from "../../api/queries";
import { useChange } from "../../shell/mutation";

export function useChangePassword(cluster: string) {
  return useChange({
    mutationFn: ({ name, password }: { name: string; password: string }) =>
      unwrap(
        api.PUT("/api/v1/clusters/{cluster_id}/sql-users/{name}/password", {
          params: { path: { cluster_id: cluster, name } },
          body: { password },
        }),
      ),
    failed: null,
  });
}

export function useDeleteSqlUser(cluster: string) {
  return useChange({
    mutationFn: (name: string) =>
      unwrap(
        api.DELETE("/api/v1/clusters/{cluster_id}/sql-users/{name}", {
          params: { path: { cluster_id: cluster, name } },
        }),
      ),
    touches: [keys.sqlUsers(cluster)],
    done: (user) => `SQL user ${user.name} is deleted`,
    failed: null,
  });
}
