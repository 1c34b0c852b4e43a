/** The allowlist of a cluster and its mutations. Their dialogs show the errors. */
import { useQuery } from "@tanstack/react-query";
import { api, fetchAllPages, pageQuery, unwrap } from "../../api/client";

import { keys } from "../../api/queries";
import { useNotifiedMutation } from "../../components/useNotifiedMutation";
import type { Entry, Network } from "./allowlist";

export function useAllowlist(cluster: string) {
  return useQuery({
    queryKey: keys.allowlist(cluster),
    queryFn: ({ signal }) =>
      fetchAllPages<Entry>(async (page) => {
        const params = { path: { cluster_id: cluster }, query: pageQuery(page) };
        const answer = await unwrap(api.GET("/api/v1/clusters/{cluster_id}/networking/allowlist", { params, signal }));
        return { items: answer.allowlist, next: answer.pagination.next_page };
      }),
  });
}

export function useAddEntry(cluster: string) {
  return useNotifiedMutation({
    mutationFn: (body: Entry) =>
      unwrap(
        api.POST("/api/v1/clusters/{cluster_id}/networking/allowlist", {
          params: { path: { cluster_id: cluster } },
          body,
        }),
      ),
    invalidates: [keys.allowlist(cluster)],
    successMessage: "Network added",
    errorTitle: null,
  });
}

export function useUpdateEntry(cluster: string) {
  return useNotifiedMutation({
    mutationFn: ({ cidr_ip, cidr_mask, name, sql, ui }: Entry) =>
      unwrap(
        api.PATCH("/api/v1/clusters/{cluster_id}/networking/allowlist/{cidr_ip}/{cidr_mask}", {
          params: { path: { cluster_id: cluster, cidr_ip, cidr_mask } },
          body: { name, sql, ui },
        }),
      ),
    invalidates: [keys.allowlist(cluster)],
    successMessage: "Network updated",
    errorTitle: null,
  });
}

export function useDeleteEntry(cluster: string) {
  return useNotifiedMutation({
    mutationFn: ({ cidr_ip, cidr_mask }: Network) =>
      unwrap(
        api.DELETE("/api/v1/clusters/{cluster_id}/networking/allowlist/{cidr_ip}/{cidr_mask}", {
          params: { path: { cluster_id: cluster, cidr_ip, cidr_mask } },
        }),
      ),
    invalidates: [keys.allowlist(cluster)],
    successMessage: "Network deleted",
    errorTitle: null,
  });
}
