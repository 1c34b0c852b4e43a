/** Query keys, and the questions that more than one page asks. */
import {
  QueryClient,
  infiniteQueryOptions,
  queryOptions,
  useInfiniteQuery,
  useQuery,
  type InfiniteData,
} from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import { ApiError, api, unwrap, type Cluster, type FolderResource, type Schemas } from "./client";
import { newestSamples, samples, session, type Whoami } from "./extensions";

/** What is asked about a cluster lies under its key, so that one event makes all of it void. */
export const keys = {
  session: ["session"],
  clusters: ["clusters"],
  cluster: (id: string) => ["cluster", id] as const,
  nodes: (id: string) => ["cluster", id, "nodes"] as const,
  sqlUsers: (id: string) => ["cluster", id, "sql-users"] as const,
  databases: (id: string) => ["cluster", id, "databases"] as const,
  connectionString: (id: string) => ["cluster", id, "connection-string"] as const,
  allowlist: (id: string) => ["allowlist", id] as const,
  samples: (id: string) => ["samples", id] as const,
  folders: ["folders"],
  organization: ["organization"],
  people: ["people"],
  invitations: ["invitations"],
  groups: ["groups"],
  roles: ["roles"],
  serviceAccounts: ["service-accounts"],
  apiKeys: ["api-keys"],
  audit: ["audit"],
  regions: ["regions"],
  versions: ["versions"],
} as const;

/** Refusals are final; what failed on the way is tried again, without end when nobody answers. */
function retry(failures: number, error: Error) {
  if (!(error instanceof ApiError)) return failures < 2;
  if (error.status === 0 || error.status === 502 || error.status === 503) return true;
  return error.status === 429 && failures < 3;
}

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      retry,
      retryDelay: (failures) => Math.min(500 * 2 ** failures, 5_000),
      staleTime: 10_000,
      // The server may be on this machine while the world is not reached.
      networkMode: "always",
    },
    mutations: { networkMode: "always" },
  },
});

export const sessionQuery = queryOptions({
  queryKey: keys.session,
  queryFn: ({ signal }) => session(signal),
  staleTime: 60_000,
});

/** Who is signed in. Inside the frame there is always somebody. */
export function useSession(): Whoami | null {
  return useQuery(sessionQuery).data ?? null;
}

export const clusterQuery = (id: string) =>
  queryOptions({
    queryKey: keys.cluster(id),
    queryFn: ({ signal }) =>
      unwrap(api.GET("/api/v1/clusters/{cluster_id}", { params: { path: { cluster_id: id } }, signal })),
  });

export function useCluster(id: string) {
  return useQuery({
    ...clusterQuery(id),
    // What it uses changes without an event; what is at work may.
    refetchInterval: (query) => (query.state.data && isBusy(query.state.data) ? 2_000 : 15_000),
  });
}

/** Whether a long operation is at work on it. */
export function isBusy(cluster: Cluster): boolean {
  return cluster.state === "CREATING" || cluster.state === "LOCKED" || cluster.operation_status.endsWith("_RUNNING");
}

const PAGE = 500;

export const clustersQuery = infiniteQueryOptions({
  queryKey: keys.clusters,
  queryFn: ({ pageParam, signal }) =>
    unwrap(
      api.GET("/api/v1/clusters", {
        params: { query: { "pagination.limit": PAGE, "pagination.page": pageParam, "pagination.sort_by": "NAME" } },
        signal,
      }),
    ),
  initialPageParam: "",
  getNextPageParam: (page) => page.pagination.next_page || undefined,
});

/** All clusters; they appear page by page, and `complete` tells when the last one is there. */
export function useClusters() {
  const query = useInfiniteQuery(clustersQuery);
  const { hasNextPage, isFetching, isError, fetchNextPage } = query;
  useEffect(() => {
    if (hasNextPage && !isFetching && !isError) void fetchNextPage();
  }, [hasNextPage, isFetching, isError, fetchNextPage]);
  const clusters = useMemo(() => query.data?.pages.flatMap((page) => page.clusters) ?? [], [query.data]);
  return { ...query, clusters, complete: query.isSuccess && !hasNextPage };
}

type ClusterPages = InfiniteData<Schemas["ListClustersResponse"], string>;

/** Brings one cluster up to date in the list, which may be too long to be asked again for each event. */
export async function refreshInList(client: QueryClient, id: string) {
  if (!client.getQueryData(keys.clusters)) return;
  let cluster: Cluster | undefined;
  try {
    cluster = await client.fetchQuery({ ...clusterQuery(id), staleTime: 0 });
  } catch (error) {
    // Who may not see it any more sees it no more.
    if (!(error instanceof ApiError) || (error.status !== 404 && error.status !== 403)) return;
  }
  client.setQueryData<ClusterPages>(keys.clusters, (list) => list && withCluster(list, id, cluster));
}

/** The list with a cluster replaced, added, or without it where it is gone. */
export function withCluster(list: ClusterPages, id: string, cluster?: Cluster): ClusterPages {
  const shown = cluster && cluster.state !== "DELETED" ? cluster : undefined;
  let found = false;
  const pages = list.pages.map((page) => {
    const index = page.clusters.findIndex((other) => other.id === id);
    if (index < 0) return page;
    found = true;
    return { ...page, clusters: page.clusters.toSpliced(index, 1, ...(shown ? [shown] : [])) };
  });
  const [first, ...rest] = pages;
  if (found || !shown || !first) return { ...list, pages };
  return { ...list, pages: [{ ...first, clusters: [shown, ...first.clusters] }, ...rest] };
}

export const foldersQuery = queryOptions({
  queryKey: keys.folders,
  queryFn: async ({ signal }) => {
    const all: FolderResource[] = [];
    let page = "";
    do {
      const query = { "pagination.limit": PAGE, "pagination.page": page };
      const answer = await unwrap(api.GET("/api/v1/folders", { params: { query }, signal }));
      all.push(...answer.folders);
      page = answer.pagination.next_page;
    } while (page);
    return all;
  },
});

/** All folders that one may see. Who may see none gets none. */
export function useFolders() {
  return useQuery(foldersQuery);
}

export const regionsQuery = queryOptions({
  queryKey: keys.regions,
  queryFn: async ({ signal }) => {
    const query = { "pagination.limit": PAGE };
    return (await unwrap(api.GET("/api/v1/clusters/available-regions", { params: { query }, signal }))).regions;
  },
  staleTime: 3_600_000,
});

export const versionsQuery = queryOptions({
  queryKey: keys.versions,
  queryFn: async ({ signal }) => {
    const query = { "pagination.limit": PAGE };
    return (await unwrap(api.GET("/api/v1/cluster-versions", { params: { query }, signal }))).versions;
  },
  staleTime: 3_600_000,
});

/** The newest samples of clusters that a list shows. */
export function useNewestSamples(ids: string[]) {
  return useQuery({
    queryKey: ["newest-samples", ids],
    queryFn: ({ signal }) => newestSamples(ids, signal),
    // A server that keeps none need not be asked all the time.
    refetchInterval: (query) => (Object.keys(query.state.data ?? {}).length > 0 ? 10_000 : 60_000),
    placeholderData: (before) => before,
    enabled: ids.length > 0,
  });
}

/** Series of a cluster over the last `seconds`, which move on. */
export function useSamples(id: string, seconds: number, points = 300) {
  return useQuery({
    queryKey: [...keys.samples(id), seconds, points],
    queryFn: ({ signal }) => {
      const now = Date.now();
      return samples(id, new Date(now - seconds * 1000), new Date(now), points, signal);
    },
    refetchInterval: Math.max(10_000, (seconds * 1000) / points),
    placeholderData: (before) => before,
  });
}

export type Role = Schemas["BuiltInRole"]["name"];

/** Where something lies: on the organization, in folders (outermost first), or a cluster in such. */
export interface Place {
  cluster?: string;
  folders?: string[];
}

/** Whether somebody holds one of `roles` for a place. The server decides; this only hides what it would refuse. */
export function can(whoami: Whoami | null, roles: Role[], place: Place = {}): boolean {
  return (whoami?.roles ?? []).some(({ name, resource }) => {
    if (!roles.includes(name)) return false;
    if (resource.type === "ORGANIZATION") return true;
    if (resource.type === "CLUSTER") return place.cluster !== undefined && resource.id === place.cluster;
    return resource.id != null && (place.folders ?? []).includes(resource.id);
  });
}

/** The folders above a cluster or folder, outermost first. */
export function foldersAbove(folders: FolderResource[], parent: string): FolderResource[] {
  const found: FolderResource[] = [];
  const byId = new Map(folders.map((folder) => [folder.resource_id, folder]));
  for (let folder = byId.get(parent); folder && !found.includes(folder); folder = byId.get(folder.parent_id)) {
    found.unshift(folder);
  }
  return found;
}

/** Whether the one who is signed in holds one of `roles` on a cluster. */
export function useCanOnCluster(cluster: Cluster | undefined, roles: Role[]): boolean {
  const whoami = useSession();
  const folders = useFolders().data ?? [];
  if (!cluster) return false;
  const above = foldersAbove(folders, cluster.parent_id).map((folder) => folder.resource_id);
  return can(whoami, roles, { cluster: cluster.id, folders: above });
}
