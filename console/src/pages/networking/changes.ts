/** The allowlist of a cluster and its changes. A refusal is shown in the dialog that asked. */
import { useQuery } from "@tanstack/react-query";
import { api, unwrap } from "../../api/client";
import { everything, pageQuery } from "../../api/inside";
import { keys } from "../../api/queries";
import { useChange } from "../../shell/mutation";
import { cidr, type Entry, type Network } from "./allowlist";

export function useAllowlist(cluster: string) {
  return useQuery({
    queryKey: keys.allowlist(cluster),
    queryFn: ({ signal }) =>
      everything<Entry>(async (page) => {
        const params = { path: { cluster_id: cluster }, query: pageQuery(page) };
        const answer = await unwrap(api.GET("/api/v1/clusters/{cluster_id}/networking/allowlist", { params, signal }));
        return { items: answer.allowlist, next: answer.pagination.next_page };
      }),
  });
}

export function useAddEntry(cluster: string) {
  return useChange({
    mutationFn: (body: Entry) =>
      unwrap(
        api.POST("/api/v1/clusters/{cluster_id}/networking/allowlist", {
          params: { path: { cluster_id: cluster } },
          body,
        }),
      ),
    touches: [keys.allowlist(cluster)],
    done: (entry) => `${cidr(entry)} is on the allowlist`,
    failed: null,
  });
}

export function useUpdateEntry(cluster: string) {
  return useChange({
    mutationFn: ({ cidr_ip, cidr_mask, name, sql, ui }: Entry) =>
      unwrap(
        api.PATCH("/api/v1/clusters/{cluster_id}/networking/allowlist/{cidr_ip}/{cidr_mask}", {
          params: { path: { cluster_id: cluster, cidr_ip, cidr_mask } },
          body: { name, sql, ui },
        }),
      ),
    touches: [keys.allowlist(cluster)],
    done: (entry) => `${cidr(entry)} is changed`,
    failed: null,
  });
}

export function useDeleteEntry(cluster: string) {
  return useChange({
    mutationFn: ({ cidr_ip, cidr_mask }: Network) =>
      unwrap(
        api.DELETE("/api/v1/clusters/{cluster_id}/networking/allowlist/{cidr_ip}/{cidr_mask}", {
          params: { path: { cluster_id: cluster, cidr_ip, cidr_mask } },
        }),
      ),
    touches: [keys.allowlist(cluster)],
    done: (entry) => `${cidr(entry)} is off the allowlist`,
    failed: null,
  });
}
