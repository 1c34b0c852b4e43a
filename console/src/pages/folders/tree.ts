/** Folders as a tree, made from the flat list of the API. */
import type { Cluster, FolderResource } from "../../api/client";

/** The top, as the API names it. */
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

/** The branches from the top; a folder whose parent one may not see is one of them. */
export function branches(folders: FolderResource[]): Branch[] {
  const known = new Set(folders.map((folder) => folder.resource_id));
  const grow = (folder: FolderResource): Branch => ({
    folder,
    children: childrenOf(folders, folder.resource_id).map(grow),
  });
  return folders
    .filter((folder) => !known.has(parentOf(folder)))
    .sort(byName)
    .map(grow);
}

/** The folder and all that lie in it: where it can not be moved to. */
export function within(folders: FolderResource[], id: string): Set<string> {
  const found = new Set([id]);
  for (const folder of folders) {
    if (folder.path.some((segment) => segment.id === id)) found.add(folder.resource_id);
  }
  return found;
}

/** `Production / Payments`. */
export const pathText = (folder: FolderResource) =>
  [...folder.path.map((segment) => segment.name), folder.name].join(" / ");

/** What is wrong with a name, or nothing; the server's rule. */
export function nameFault(name: string): string | undefined {
  const text = name.trim();
  if (text.length < 3 || text.length > 40) return "must have 3 to 40 characters";
  if (!/^[A-Za-z0-9][A-Za-z0-9 '_-]*[A-Za-z0-9]$/.test(text)) {
    return "may hold letters, digits, spaces, hyphens, apostrophes and underscores; a letter or digit at both ends";
  }
  return undefined;
}
