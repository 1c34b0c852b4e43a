/** The contents of the form that clones a cluster, their validation, and the request that they become. */
import type { Cluster, Schemas } from "../../api/client";
import { pointInRequest, type RestorePoint } from "../../api/restore-points";
import { clusterNameError, MAX_CLUSTER_NAME_LENGTH } from "../../api/validation";

type RegionInfo = Schemas["CloudProviderRegion"];
type Request = Schemas["CreateClusterRequest"];

const HOUR_MS = 3_600_000;

/** When a clone expires. For `custom`, a time is entered. */
export const EXPIRIES = [
  { value: "never", label: "Never" },
  { value: "hour", label: "In 1 hour", lifetime: HOUR_MS },
  { value: "day", label: "In 1 day", lifetime: 24 * HOUR_MS },
  { value: "week", label: "In 7 days", lifetime: 7 * 24 * HOUR_MS },
  { value: "custom", label: "At another time" },
] as const;

export type Expiry = (typeof EXPIRIES)[number]["value"];

export const EXPIRY_RULE = "Use a time in the future.";
export const MASKING_RULE = "Enter the SQL to run.";

export interface CloneDraft {
  /** `null` for the suggested name. */
  name: string | null;
  folder: string;
  plan: Schemas["Plan"];
  expiry: Expiry;
  /** The time that was entered, as the API represents it. */
  expiresAt?: string;
  /** Whether SQL runs before SQL clients can connect. */
  masks: boolean;
  maskingSql: string;
  /** Empty for `defaultdb`. */
  maskingDatabase: string;
}

export function newCloneDraft(source: Cluster): CloneDraft {
  return {
    name: null,
    folder: source.parent_id,
    plan: source.plan,
    expiry: "never",
    masks: false,
    maskingSql: "",
    maskingDatabase: "",
  };
}

/** `orders-copy`, or `orders-copy-2` if that name is taken. */
export function suggestCloneName(source: string, taken: Set<string>): string {
  for (let number = 1; ; number += 1) {
    const suffix = number === 1 ? "-copy" : `-copy-${number}`;
    const name = source.slice(0, MAX_CLUSTER_NAME_LENGTH - suffix.length) + suffix;
    if (!taken.has(name)) return name;
  }
}

/** The plans that a clone can have: that of the source, and Basic if all of its regions offer it. */
export function offeredPlans(source: Cluster, all: RegionInfo[]): Schemas["Plan"][] {
  if (source.plan === "BASIC") return ["BASIC"];
  const offered = source.regions.every(({ name }) =>
    all.some((region) => region.provider === source.cloud_provider && region.name === name && region.serverless),
  );
  return offered ? [source.plan, "BASIC"] : [source.plan];
}

export interface CloneErrors {
  name: string | null;
  expiry: string | null;
  masking: string | null;
}

/** What keeps the draft from being submitted. `now` is in milliseconds. */
export function cloneErrors(draft: CloneDraft, name: string, now: number): CloneErrors {
  const late = draft.expiry === "custom" && !(Date.parse(draft.expiresAt ?? "") > now);
  return {
    name: clusterNameError(name),
    expiry: late ? EXPIRY_RULE : null,
    masking: draft.masks && draft.maskingSql.trim() === "" ? MASKING_RULE : null,
  };
}

function expiresAt({ expiry, expiresAt: entered }: CloneDraft, now: number): string | undefined {
  if (expiry === "custom") return entered;
  const found = EXPIRIES.find(({ value }) => value === expiry);
  return found && "lifetime" in found ? new Date(now + found.lifetime).toISOString() : undefined;
}

/** The provider and the specification; none if the server can take all of it from the source. */
function specification(source: Cluster, { plan, folder }: CloneDraft): Pick<Request, "provider" | "spec"> {
  if (plan === source.plan && folder === "root") return {};
  const common = { plan, parent_id: folder };
  const { serverless, dedicated } = source.config;
  if (plan === "ADVANCED" && dedicated) {
    const hardware = {
      machine_spec: { machine_type: dedicated.machine_type },
      storage_gib: dedicated.storage_gib,
      disk_iops: dedicated.disk_iops,
    };
    const region_nodes = Object.fromEntries(source.regions.map(({ name, node_count }) => [name, node_count]));
    const network = {
      ...(source.network_visibility ? { network_visibility: source.network_visibility } : {}),
      ...(source.cidr_range ? { cidr_range: source.cidr_range } : {}),
    };
    return { provider: source.cloud_provider, spec: { ...common, dedicated: { region_nodes, hardware, ...network } } };
  }
  const primary = source.regions.find(({ primary }) => primary)?.name;
  const kept =
    plan === source.plan && serverless
      ? { upgrade_type: serverless.upgrade_type, usage_limits: serverless.usage_limits }
      : {};
  const regions = source.regions.map(({ name }) => name);
  const block = { regions, ...(primary ? { primary_region: primary } : {}), ...kept };
  return { provider: source.cloud_provider, spec: { ...common, serverless: block } };
}

/** The request that clones `source` as it was at `point`, or as it is now. `now` is in milliseconds. */
export function cloneRequest(
  draft: CloneDraft,
  name: string,
  source: Cluster,
  now: number,
  point?: RestorePoint,
): Request {
  const expires_at = expiresAt(draft, now);
  const database = draft.maskingDatabase.trim();
  const masking = draft.masks
    ? { masking_sql: draft.maskingSql, ...(database ? { masking_database: database } : {}) }
    : {};
  return {
    name,
    ...specification(source, draft),
    restore_from: { source_cluster_id: source.id, ...(point ? pointInRequest(point) : {}), ...masking },
    ...(expires_at ? { expires_at } : {}),
  };
}
