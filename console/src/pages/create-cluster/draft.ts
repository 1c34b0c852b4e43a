/** What the form holds, what is wrong with it, and the request that it becomes. */
import type { Schemas } from "../../api/client";
import { labelsOf, labelsProblem, type LabelRow } from "../../components/cluster/words";

export type Plan = Schemas["Plan"];
export type Cloud = Schemas["CloudProvider"];
export type RegionInfo = Schemas["CloudProviderRegion"];

export interface Draft {
  plan: Plan;
  cloud: Cloud;
  /** The first one is the primary. */
  regions: string[];
  requestUnits: number | null;
  storageMib: number | null;
  vcpus: number;
  machineVcpus: number;
  machineStorage: number;
  name: string;
  folder: string;
  protected: boolean;
  labels: LabelRow[];
}

export const MOST_REGIONS = 6;
export const MACHINES = [2, 4, 8, 16, 32, 64];
export const SMALLEST_STORAGE = 15;
export const STORAGE_PER_VCPU = 320;

export function newDraft(name: string, folder: string): Draft {
  return {
    plan: "BASIC",
    cloud: "AWS",
    regions: ["us-east-1"],
    requestUnits: null,
    storageMib: null,
    vcpus: 2,
    machineVcpus: 2,
    machineStorage: SMALLEST_STORAGE,
    name,
    folder: folder || "root",
    protected: false,
    labels: [],
  };
}

/** The regions that a plan may use in a cloud. */
export function offered(regions: RegionInfo[], plan: Plan, cloud: Cloud): RegionInfo[] {
  return regions.filter(({ provider, serverless }) => provider === cloud && (plan === "ADVANCED" || serverless));
}

/** The draft with regions that its plan and cloud offer. */
export function settle(draft: Draft, all: RegionInfo[]): Draft {
  const cloud = draft.plan !== "ADVANCED" && draft.cloud === "AZURE" ? "AWS" : draft.cloud;
  const known = offered(all, draft.plan, cloud);
  const kept = draft.regions.filter((name) => known.some((region) => region.name === name));
  const first = kept.length > 0 ? kept : known.slice(0, 1).map(({ name }) => name);
  return { ...draft, cloud, regions: draft.plan === "ADVANCED" ? first.slice(0, 1) : first };
}

export interface Problems {
  regions?: string;
  capacity?: string;
  name?: string;
  labels?: string;
}

const NAME = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

/** What keeps the draft from being sent. The server has the same rules, and the last word. */
export function problemsOf(draft: Draft): Problems {
  const problems: Problems = {};
  if (draft.regions.length === 0) problems.regions = "Choose a region";
  if (draft.regions.length > MOST_REGIONS) problems.regions = `At most ${MOST_REGIONS} regions`;
  if (!NAME.test(draft.name) || draft.name.length < 6 || draft.name.length > 57) {
    problems.name = "6 to 57 lower-case letters, digits and dashes; a letter or digit at each end";
  }
  if (draft.plan === "STANDARD" && !(draft.vcpus >= 2 && draft.vcpus <= 200)) problems.capacity = "From 2 to 200 vCPUs";
  const most = draft.machineVcpus * STORAGE_PER_VCPU;
  if (draft.plan === "ADVANCED" && !(draft.machineStorage >= SMALLEST_STORAGE && draft.machineStorage <= most)) {
    problems.capacity = `From ${SMALLEST_STORAGE} to ${most} GiB with ${draft.machineVcpus} vCPUs`;
  }
  const labels = labelsProblem(draft.labels);
  if (labels) problems.labels = labels;
  return problems;
}

function limitsOf(draft: Draft): Schemas["UsageLimits"] | undefined {
  if (draft.plan === "STANDARD") return { provisioned_virtual_cpus: String(draft.vcpus) };
  if (draft.requestUnits === null && draft.storageMib === null) return undefined;
  return {
    ...(draft.requestUnits === null ? {} : { request_unit_limit: String(draft.requestUnits) }),
    ...(draft.storageMib === null ? {} : { storage_mib_limit: String(draft.storageMib) }),
  };
}

export function requestOf(draft: Draft): Schemas["CreateClusterRequest"] {
  const [primary = "", ...others] = draft.regions;
  const common = {
    plan: draft.plan,
    parent_id: draft.folder,
    labels: labelsOf(draft.labels),
    delete_protection: draft.protected ? ("ENABLED" as const) : ("DISABLED" as const),
  };
  const spec =
    draft.plan === "ADVANCED"
      ? {
          ...common,
          dedicated: {
            region_nodes: { [primary]: 1 },
            hardware: { machine_spec: { num_virtual_cpus: draft.machineVcpus }, storage_gib: draft.machineStorage },
          },
        }
      : {
          ...common,
          serverless: {
            regions: draft.regions,
            ...(others.length > 0 ? { primary_region: primary } : {}),
            usage_limits: limitsOf(draft),
          },
        };
  return { name: draft.name, provider: draft.cloud, spec };
}
