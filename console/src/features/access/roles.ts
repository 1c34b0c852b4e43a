/** The built-in roles: their names for people, and the scopes at which they can be granted. */
import type { Role } from "../../api/permissions";

export type Scope = "ORGANIZATION" | "FOLDER" | "CLUSTER";

export type Grant = { name: string; resource: { type: string; id?: string | null } };

export type RoleInfo = { name: Role; label: string; scopes: Scope[]; description: string };

const ALL_SCOPES: Scope[] = ["ORGANIZATION", "FOLDER", "CLUSTER"];
const ORGANIZATION_AND_FOLDER: Scope[] = ["ORGANIZATION", "FOLDER"];

export const ROLES: RoleInfo[] = [
  {
    name: "ORG_ADMIN",
    label: "Organization admin",
    scopes: ["ORGANIZATION"],
    description: "Manage users, service accounts, and roles",
  },
  {
    name: "CLUSTER_ADMIN",
    label: "Cluster admin",
    scopes: ALL_SCOPES,
    description: "Manage clusters, including their SQL users. On the organization or a folder: create clusters",
  },
  {
    name: "CLUSTER_CREATOR",
    label: "Cluster creator",
    scopes: ORGANIZATION_AND_FOLDER,
    description: "Create clusters and manage the clusters they created",
  },
  {
    name: "CLUSTER_OPERATOR_WRITER",
    label: "Cluster operator",
    scopes: ALL_SCOPES,
    description: "Scale clusters and manage databases, networking, backups, and upgrades",
  },
  {
    name: "CLUSTER_DEVELOPER",
    label: "Cluster developer",
    scopes: ALL_SCOPES,
    description: "View clusters and their connection details",
  },
  {
    name: "CLUSTER_MONITOR",
    label: "Cluster monitor",
    scopes: ALL_SCOPES,
    description: "View clusters and their activity",
  },
  { name: "METRICS_VIEWER", label: "Metrics viewer", scopes: ALL_SCOPES, description: "View the metrics of clusters" },
  {
    name: "FOLDER_ADMIN",
    label: "Folder admin",
    scopes: ORGANIZATION_AND_FOLDER,
    description: "Create, move, and delete folders and manage roles on them",
  },
  {
    name: "FOLDER_MOVER",
    label: "Folder mover",
    scopes: ORGANIZATION_AND_FOLDER,
    description: "Rename and move folders, and move clusters between them",
  },
  {
    name: "AUDITOR",
    label: "Auditor",
    scopes: ALL_SCOPES,
    description: "View configuration, users, roles, and the audit log",
  },
  {
    name: "CLUSTER_DATA_ACCESSOR",
    label: "Cluster data accessor",
    scopes: ALL_SCOPES,
    description: "View clusters and manage their databases",
  },
  {
    name: "BILLING_COORDINATOR",
    label: "Billing coordinator",
    scopes: ["ORGANIZATION"],
    description: "View and manage billing",
  },
  { name: "BILLING_VIEWER", label: "Billing viewer", scopes: ["ORGANIZATION"], description: "View billing" },
];

const BY_NAME = new Map<string, RoleInfo>(ROLES.map((role) => [role.name, role]));

export const roleInfo = (name: string): RoleInfo | undefined => BY_NAME.get(name);

/** `CLUSTER_ADMIN` as `Cluster admin`. */
export function roleLabel(name: string): string {
  return BY_NAME.get(name)?.label ?? name.toLowerCase().replaceAll("_", " ");
}

/** The grants without the member role, which every user holds. */
export const withoutMember = (grants: Grant[]) => grants.filter((grant) => grant.name !== "ORG_MEMBER");

/** Equal grants have the same key. */
export const grantKey = (grant: Grant) => `${grant.name} ${grant.resource.type} ${grant.resource.id ?? ""}`;

export function grantsError(grants: Grant[]): string | null {
  if (grants.some((grant) => grant.resource.type !== "ORGANIZATION" && !grant.resource.id)) {
    return "Select a folder or cluster for each role.";
  }
  if (new Set(grants.map(grantKey)).size < grants.length) return "Remove the duplicate role.";
  return null;
}
