/** The roles that can be given, in the words of the page, and where each may be held. */
export type Scope = "ORGANIZATION" | "FOLDER" | "CLUSTER";

export type Grant = { name: string; resource: { type: string; id?: string | null } };

export type RoleInfo = { name: string; label: string; scopes: Scope[]; meaning: string };

const EVERYWHERE: Scope[] = ["ORGANIZATION", "FOLDER", "CLUSTER"];
const ABOVE_CLUSTERS: Scope[] = ["ORGANIZATION", "FOLDER"];

/** Held by everybody; it can not be taken. */
export const MEMBER = "ORG_MEMBER";

export const ROLES: RoleInfo[] = [
  {
    name: "ORG_ADMIN",
    label: "Organization admin",
    scopes: ["ORGANIZATION"],
    meaning: "Manages people, service accounts and every role",
  },
  {
    name: "CLUSTER_ADMIN",
    label: "Cluster admin",
    scopes: EVERYWHERE,
    meaning: "Everything about clusters; creates them at the organization or a folder",
  },
  {
    name: "CLUSTER_CREATOR",
    label: "Cluster creator",
    scopes: ABOVE_CLUSTERS,
    meaning: "Creates clusters, and is admin of those",
  },
  {
    name: "CLUSTER_OPERATOR_WRITER",
    label: "Cluster operator",
    scopes: EVERYWHERE,
    meaning: "Operates clusters: scale, network, backups, upgrades",
  },
  {
    name: "CLUSTER_DEVELOPER",
    label: "Cluster developer",
    scopes: EVERYWHERE,
    meaning: "Looks at clusters and connects to them",
  },
  {
    name: "CLUSTER_MONITOR",
    label: "Cluster monitor",
    scopes: EVERYWHERE,
    meaning: "Watches clusters, changes nothing",
  },
  { name: "METRICS_VIEWER", label: "Metrics viewer", scopes: EVERYWHERE, meaning: "Reads the metrics of clusters" },
  {
    name: "FOLDER_ADMIN",
    label: "Folder admin",
    scopes: ABOVE_CLUSTERS,
    meaning: "Creates, moves and deletes folders, and gives roles on them",
  },
  {
    name: "FOLDER_MOVER",
    label: "Folder mover",
    scopes: ABOVE_CLUSTERS,
    meaning: "Renames and moves what lies in folders",
  },
  {
    name: "AUDITOR",
    label: "Auditor",
    scopes: EVERYWHERE,
    meaning: "Reads configuration, users, roles and the audit log; changes nothing",
  },
  {
    name: "CLUSTER_DATA_ACCESSOR",
    label: "Cluster data accessor",
    scopes: EVERYWHERE,
    meaning: "Views clusters and manages their databases",
  },
  {
    name: "BILLING_COORDINATOR",
    label: "Billing coordinator",
    scopes: ["ORGANIZATION"],
    meaning: "Sees and manages billing",
  },
  { name: "BILLING_VIEWER", label: "Billing viewer", scopes: ["ORGANIZATION"], meaning: "Sees billing" },
];

const BY_NAME = new Map(ROLES.map((role) => [role.name, role]));

export const roleInfo = (name: string): RoleInfo | undefined => BY_NAME.get(name);

/** `CLUSTER_ADMIN` as people read it. */
export function roleLabel(name: string): string {
  return BY_NAME.get(name)?.label ?? name.toLowerCase().replaceAll("_", " ");
}

/** What is left to show of grants: all but the one that everybody has. */
export const worthShowing = (grants: Grant[]) => grants.filter((grant) => grant.name !== MEMBER);

/** Two grants that say the same have the same key. */
export const grantKey = (grant: Grant) => `${grant.name} ${grant.resource.type} ${grant.resource.id ?? ""}`;

/** What is wrong with a list of grants that is being edited, or nothing. */
export function grantFault(grants: Grant[]): string | undefined {
  if (grants.some((grant) => grant.resource.type !== "ORGANIZATION" && !grant.resource.id)) {
    return "Choose the folder or cluster of each role.";
  }
  if (new Set(grants.map(grantKey)).size < grants.length) return "A role is listed twice at the same place.";
  return undefined;
}
