/** Query keys, and the queries that more than one page uses. */
import {
  QueryClient,
  infiniteQueryOptions,
  queryOptions,
  useInfiniteQuery,
  useQuery,
  type InfiniteData,
} from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import {
  ApiError,
  api,
  fetchAllPages,
  PAGE_SIZE,
  pageQuery,
  unwrap,
  type Cluster,
  type FolderResource,
  type Schemas,
} from "./client";
import { getSession, latestSamples, samples, type Session } from "./extensions";

/** Queries about a cluster share the prefix of its key, so that one event invalidates all of them. */
export const keys = {
  session: ["session"],
  clusters: ["clusters"],
  cluster: (id: string) => ["cluster", id] as const,
  nodes: (id: string) => ["cluster", id, "nodes"] as const,
  sqlUsers: (id: string) => ["cluster", id, "sql-users"] as const,
  databases: (id: string) => ["cluster", id, "databases"] as const,
  connectionString: (id: string) => ["cluster", id, "connection-string"] as const,
  backupConfiguration: (id: string) => ["cluster", id, "backup-configuration"] as const,
  backups: (id: string) => ["cluster", id, "backups"] as const,
  restores: (id: string) => ["cluster", id, "restores"] as const,
  maintenanceWindow: (id: string) => ["cluster", id, "maintenance-window"] as const,
  versionDeferral: (id: string) => ["cluster", id, "version-deferral"] as const,
  blackoutWindows: (id: string) => ["blackout-windows", id] as const,
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

/** Errors of the API are final. Requests that the server could not answer are retried until it can. */
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
      // The server may run on this machine, which can be offline.
      networkMode: "always",
    },
    mutations: { networkMode: "always" },
  },
});

export const sessionQuery = queryOptions({
  queryKey: keys.session,
  queryFn: ({ signal }) => getSession(signal),
  staleTime: 60_000,
});

/** The key of the mutation that ends the session. While it is pending, rejected requests are expected. */
export const SIGN_OUT = ["sign-out"];

/** The current session. Pages inside AppLayout always have one. */
export function useSession(): Session | null {
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
    // Usage changes without an event. A running operation is followed more closely.
    refetchInterval: (query) => (query.state.data && isBusy(query.state.data) ? 2_000 : 15_000),
  });
}

/** Whether a long-running operation is in progress. */
export function isBusy(cluster: Cluster): boolean {
  return cluster.state === "CREATING" || cluster.state === "LOCKED" || cluster.operation_status.endsWith("_RUNNING");
}

/** Whether the data of a cluster is being replaced by that of a backup. */
export function isRestoring(cluster: Cluster): boolean {
  return cluster.operation_status.endsWith("_RESTORE_RUNNING");
}

/** The condition of a cluster whose data the engine can't find. */
export const DATA_MISSING = "DataMissing";
/** The condition of a cluster that couldn't be created. */
export const CREATION_FAILED = "CreationFailed";
/** The condition of a cluster that gets no backups because the operator has turned them off. */
export const BACKUPS_DISABLED = "BackupsDisabled";

function messageOf(cluster: Cluster, condition: string): string | undefined {
  return cluster.ootheca.conditions.find(({ kind, holds }) => kind === condition && holds)?.message;
}

export function isDataMissing(cluster: Cluster): boolean {
  return messageOf(cluster, DATA_MISSING) !== undefined;
}

/** Whether the present data of a cluster can be cloned. Its backups can be cloned in every state. */
export function hasPresentData(cluster: Cluster): boolean {
  return cluster.state === "CREATED" && !isDataMissing(cluster);
}

/** Why the creation of a cluster has failed, if the server says so. */
export function creationFailure(cluster: Cluster): string | undefined {
  return messageOf(cluster, CREATION_FAILED);
}

/** Why no backups of a cluster are taken, if the operator has turned them off. */
export function backupsDisabled(cluster: Cluster): string | undefined {
  return messageOf(cluster, BACKUPS_DISABLED);
}

export const clustersQuery = infiniteQueryOptions({
  queryKey: keys.clusters,
  queryFn: ({ pageParam, signal }) =>
    unwrap(
      api.GET("/api/v1/clusters", {
        params: { query: { ...pageQuery(pageParam), "pagination.sort_by": "NAME" } },
        signal,
      }),
    ),
  initialPageParam: "",
  getNextPageParam: (page) => page.pagination.next_page || undefined,
});

/** All clusters. They arrive page by page; `complete` is true after the last page. */
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

/** Updates one cluster in the list, which may be too long to reload for each event. */
export async function refreshInList(client: QueryClient, id: string) {
  if (!client.getQueryData(keys.clusters)) return;
  let cluster: Cluster | undefined;
  try {
    cluster = await client.fetchQuery({ ...clusterQuery(id), staleTime: 0 });
  } catch (error) {
    // A cluster that is gone, or that the user may no longer read, leaves the list.
    if (!(error instanceof ApiError) || (error.status !== 404 && error.status !== 403)) return;
  }
  client.setQueryData<ClusterPages>(keys.clusters, (list) => list && withCluster(list, id, cluster));
}

/** The list with a cluster replaced or added, or removed if it is gone. */
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
  queryFn: ({ signal }) =>
    fetchAllPages<FolderResource>(async (page) => {
      const answer = await unwrap(api.GET("/api/v1/folders", { params: { query: pageQuery(page) }, signal }));
      return { items: answer.folders, next: answer.pagination.next_page };
    }),
});

/** The folders that the user can read. */
export function useFolders() {
  return useQuery(foldersQuery);
}

export const regionsQuery = queryOptions({
  queryKey: keys.regions,
  queryFn: async ({ signal }) => {
    const query = { "pagination.limit": PAGE_SIZE };
    return (await unwrap(api.GET("/api/v1/clusters/available-regions", { params: { query }, signal }))).regions;
  },
  staleTime: 3_600_000,
});

export const versionsQuery = queryOptions({
  queryKey: keys.versions,
  queryFn: async ({ signal }) => {
    const query = { "pagination.limit": PAGE_SIZE };
    return (await unwrap(api.GET("/api/v1/cluster-versions", { params: { query }, signal }))).versions;
  },
  staleTime: 3_600_000,
});

/** The latest samples of the clusters on the screen. */
export function useLatestSamples(ids: string[]) {
  return useQuery({
    queryKey: ["latest-samples", ids],
    queryFn: ({ signal }) => latestSamples(ids, signal),
    // A server without samples is polled less often.
    refetchInterval: (query) => (Object.keys(query.state.data ?? {}).length > 0 ? 10_000 : 60_000),
    placeholderData: (previous) => previous,
    enabled: ids.length > 0,
  });
}

/** The time series of a cluster over the last `seconds`. */
export function useSamples(id: string, seconds: number, points = 300) {
  return useQuery({
    queryKey: [...keys.samples(id), seconds, points],
    queryFn: ({ signal }) => {
      const now = Date.now();
      return samples(id, new Date(now - seconds * 1000), new Date(now), points, signal);
    },
    refetchInterval: Math.max(10_000, (seconds * 1000) / points),
    placeholderData: (previous) => previous,
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
