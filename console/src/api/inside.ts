/** What is inside a cluster, SQL users and databases: the questions and changes that more than one page needs. */
import { useQuery } from "@tanstack/react-query";
import { useChange } from "../shell/mutation";
import { api, unwrap, type Schemas } from "./client";
import { keys, type Role } from "./queries";

/** Who may see users and databases, change databases, and change users: as expected/roles.txt has it. */
export const SEES_INSIDE: Role[] = ["CLUSTER_ADMIN", "CLUSTER_OPERATOR_WRITER", "CLUSTER_DEVELOPER"];
export const OPERATES: Role[] = ["CLUSTER_ADMIN", "CLUSTER_OPERATOR_WRITER"];
export const ADMINISTERS: Role[] = ["CLUSTER_ADMIN"];

const PAGE = 500;

/** Everything of a list that comes in pages. */
export async function everything<T>(ask: (page: string) => Promise<{ items: T[]; next: string }>): Promise<T[]> {
  const all: T[] = [];
  let page = "";
  do {
    const answer = await ask(page);
    all.push(...answer.items);
    page = answer.next;
  } while (page);
  return all;
}

/** The query parameters of one page of a list. */
export const pageQuery = (page: string) => ({ "pagination.limit": PAGE, "pagination.page": page });

/** The SQL users of a cluster, by name. */
export function useSqlUsers(cluster: string, enabled = true) {
  return useQuery({
    queryKey: keys.sqlUsers(cluster),
    enabled,
    queryFn: ({ signal }) =>
      everything<Schemas["SQLUser"]>(async (page) => {
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
      everything<Schemas["Database"]>(async (page) => {
        const params = { path: { cluster_id: cluster }, query: pageQuery(page) };
        const answer = await unwrap(api.GET("/api/v1/clusters/{cluster_id}/databases", { params, signal }));
        return { items: answer.databases, next: answer.pagination.next_page };
      }),
  });
}

/** Makes a SQL user. Whoever asks shows a refusal itself. */
export function useCreateSqlUser(cluster: string) {
  return useChange({
    mutationFn: (body: { name: string; password: string }) =>
      unwrap(
        api.POST("/api/v1/clusters/{cluster_id}/sql-users", {
          params: { path: { cluster_id: cluster } },
          body,
        }),
      ),
    touches: [keys.sqlUsers(cluster)],
    failed: null,
  });
}
