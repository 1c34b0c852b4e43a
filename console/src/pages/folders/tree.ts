/** Builds a tree from the flat list of folders that the API returns. */
import type { Cluster, FolderResource } from "../../api/client";

/** The parent of top-level folders and clusters in the API. */
export const ROOT = "root";

export interface Branch {
  folder: FolderResource;
  children: Branch[];
}

const parentOf = (folder: { parent_id: string }) => folder.parent_id || ROOT;

const byName = (one: { name: string }, other: { name: string }) => one.name.localeCompare(other.name);

export function childrenOf(folders: FolderResource[], parent: string): FolderResource[] {
  return folders.filter((folder) => parentOf(folder) === parent).sort(byName);
}

export function clustersIn(clusters: Cluster[], parent: string): Cluster[] {
  return clusters.filter((cluster) => parentOf(cluster) === parent).sort(byName);
}

/** The top-level branches, including folders whose parent the user can't read. */
export function branches(folders: FolderResource[]): Branch[] {
  const known = new Set(folders.map((folder) => folder.resource_id));
  const toBranch = (folder: FolderResource): Branch => ({
    folder,
    children: childrenOf(folders, folder.resource_id).map(toBranch),
  });
  return folders
    .filter((folder) => !known.has(parentOf(folder)))
    .sort(byName)
    .map(toBranch);
}

/** A folder and its subfolders at any depth. */
export function withDescendants(folders: FolderResource[], id: string): Set<string> {
  const found = new Set([id]);
  for (const folder of folders) {
    if (folder.path.some((segment) => segment.id === id)) found.add(folder.resource_id);
  }
  return found;
}
