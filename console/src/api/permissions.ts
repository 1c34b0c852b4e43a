/**
 * Which actions the console offers. The roles of each operation come from the OpenAPI document. The server decides;
 * this only hides what it would refuse.
 */
import type { Cluster, FolderResource, Schemas } from "./client";
import { OPERATION_ROLES } from "./operation-roles.generated";
import type { Session } from "./extensions";
import { foldersAbove, useFolders, useSession } from "./queries";

export type Role = Schemas["BuiltInRole"]["name"];

export type Operation = keyof typeof OPERATION_ROLES;

/** The resource that an operation is about: the organization, a folder, or a cluster. */
export interface Scope {
  cluster?: string;
  /** The folder and those above it. */
  folders?: string[];
}

/** Whether the session holds a role that allows `operation`. */
export function isAllowed(session: Session | null, operation: Operation, scope: Scope = {}): boolean {
  const roles: readonly string[] = OPERATION_ROLES[operation];
  return (session?.roles ?? []).some(({ name, resource }) => {
    if (!roles.includes(name)) return false;
    if (resource.type === "ORGANIZATION") return true;
    if (resource.type === "CLUSTER") return scope.cluster !== undefined && resource.id === scope.cluster;
    return resource.id != null && (scope.folders ?? []).includes(resource.id);
  });
}

/** The scope of a cluster: itself and the folders above it. */
function scopeOf(cluster: Cluster, folders: FolderResource[]): Scope {
  const above = foldersAbove(folders, cluster.parent_id).map((folder) => folder.resource_id);
  return { cluster: cluster.id, folders: above };
}

/** A predicate: the clusters on which the signed-in user may call `operation`. */
export function useAllowedOn(operation: Operation): (cluster: Cluster) => boolean {
  const session = useSession();
  const folders = useFolders().data ?? [];
  return (cluster) => isAllowed(session, operation, scopeOf(cluster, folders));
}

/** Whether the signed-in user may call `operation` on a cluster. */
export function useAllowed(cluster: Cluster, operation: Operation): boolean {
  return useAllowedOn(operation)(cluster);
}

/** Whether the signed-in user may create a clone of a cluster in the same folder. */
export function useCanClone(cluster: Cluster): boolean {
  const session = useSession();
  const scope = scopeOf(cluster, useFolders().data ?? []);
  return isAllowed(session, "CreateRestore", scope) && isAllowed(session, "CreateCluster", { folders: scope.folders });
}
