/** SQL users and databases of a cluster. */
import { useQuery } from "@tanstack/react-query";
import { api, fetchAllPages, pageQuery, unwrap, type Schemas } from "./client";
import { keys } from "./queries";

/** The SQL users of a cluster, by name. */
export function useSqlUsers(cluster: string, enabled = true) {
  return useQuery({
    queryKey: keys.sqlUsers(cluster),
    enabled,
    queryFn: ({ signal }) =>
      fetchAllPages<Schemas["SQLUser"]>(async (page) => {
        const params = { path: { cluster_id: cluster }, query: pageQuery(page) };
        const answer = await unwrap(api.GET("/api/v1/clusters/{cluster_id}/sql-users", { params, signal }));
        return { items: answer.users, next: answer.pagination.next_page };
      }),
  });
}

/** The databases of a cluster, by name. */
export function useDatabases(cluster: string, enabled = true) {
  return useQuery({
    queryKey: keys.databases(cluster),
    enabled,
    queryFn: ({ signal }) =>
      fetchAllPages<Schemas["Database"]>(async (page) => {
        const params = { path: { cluster_id: cluster }, query: pageQuery(page) };
        const answer = await unwrap(api.GET("/api/v1/clusters/{cluster_id}/databases", { params, signal }));
        return { items: answer.databases, next: answer.pagination.next_page };
      }),
  });
}
