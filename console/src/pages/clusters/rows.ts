/** The rows of the cluster list, with the text that the search matches. */
import type { Cluster, FolderResource } from "../../api/client";
import { folderPath } from "../../features/cluster/format";

export interface ClusterRow {
  cluster: Cluster;
  folder: string;
  text: string;
}

/** Builds a row. `paths` caches the paths of folders. */
export function toRow(cluster: Cluster, folders: FolderResource[], paths: Map<string, string>): ClusterRow {
  const parent = cluster.parent_id;
  let folder = paths.get(parent);
  if (folder === undefined) {
    folder = folderPath(folders, parent);
    paths.set(parent, folder);
  }
  const regions = cluster.regions.map(({ name }) => name);
  const labels = Object.entries(cluster.labels).map(([key, value]) => `${key}:${value}`);
  const text = [cluster.name, cluster.id, folder, cluster.plan, cluster.cloud_provider, ...regions, ...labels];
  return { cluster, folder, text: text.join("\n").toLowerCase() };
}

/** Whether a row contains every word of the search. */
export function matches(row: ClusterRow, search: string): boolean {
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => row.text.includes(word));
}

/** A folder and its subfolders at any depth. */
export function folderTree(folders: FolderResource[], id: string): Set<string> {
  const children = new Map<string, string[]>();
  for (const { parent_id, resource_id } of folders) {
    children.set(parent_id, [...(children.get(parent_id) ?? []), resource_id]);
  }
  const tree = new Set([id]);
  for (const folder of tree) for (const child of children.get(folder) ?? []) tree.add(child);
  return tree;
}

export function inFolder(clusters: Cluster[], folders: FolderResource[], id: string): Cluster[] {
  if (id === "root") return clusters;
  const tree = folderTree(folders, id);
  return clusters.filter(({ parent_id }) => tree.has(parent_id));
}
