/** The contents of the form, their validation, and the request that they become. */
import type { Schemas } from "../../api/client";
import {
  clusterNameError,
  labelsError,
  labelsFromRows,
  MAX_REGIONS,
  MIN_STORAGE_GIB,
  MIN_VCPUS,
  storageError,
  vcpusError,
  type LabelRow,
} from "../../api/validation";

export type Plan = Schemas["Plan"];
export type Cloud = Schemas["CloudProvider"];
export type RegionInfo = Schemas["CloudProviderRegion"];

export interface Draft {
  plan: Plan;
  cloud: Cloud;
  /** The first one is the primary region. */
  regions: string[];
  requestUnits: number | null;
  storageMib: number | null;
  vcpus: number;
  nodeVcpus: number;
  nodeStorageGib: number;
  name: string;
  folder: string;
  protected: boolean;
  labels: LabelRow[];
}

export function newDraft(name: string, folder: string): Draft {
  return {
    plan: "BASIC",
    cloud: "AWS",
    regions: ["us-east-1"],
    requestUnits: null,
    storageMib: null,
    vcpus: MIN_VCPUS,
    nodeVcpus: MIN_VCPUS,
    nodeStorageGib: MIN_STORAGE_GIB,
    name,
    folder: folder || "root",
    protected: false,
    labels: [],
  };
}

/** The regions that a plan offers in a cloud. */
export function offeredRegions(regions: RegionInfo[], plan: Plan, cloud: Cloud): RegionInfo[] {
  return regions.filter(({ provider, serverless }) => provider === cloud && (plan === "ADVANCED" || serverless));
}

/** The draft, with regions that its plan and cloud offer. */
export function withOfferedRegions(draft: Draft, all: RegionInfo[]): Draft {
  const cloud = draft.plan !== "ADVANCED" && draft.cloud === "AZURE" ? "AWS" : draft.cloud;
  const offered = offeredRegions(all, draft.plan, cloud);
  const kept = draft.regions.filter((name) => offered.some((region) => region.name === name));
  const regions = kept.length > 0 ? kept : offered.slice(0, 1).map(({ name }) => name);
  return { ...draft, cloud, regions: draft.plan === "ADVANCED" ? regions.slice(0, 1) : regions };
}

export interface DraftErrors {
  regions: string | null;
  capacity: string | null;
  name: string | null;
  labels: string | null;
}

function regionsError({ regions }: Draft): string | null {
  if (regions.length === 0) return "Select a region.";
  return regions.length > MAX_REGIONS ? `Select at most ${MAX_REGIONS} regions.` : null;
}

function capacityError(draft: Draft): string | null {
  if (draft.plan === "STANDARD") return vcpusError(draft.vcpus);
  return draft.plan === "ADVANCED" ? storageError(draft.nodeStorageGib, draft.nodeVcpus) : null;
}

/** What keeps the draft from being submitted. */
export function validate(draft: Draft): DraftErrors {
  return {
    regions: regionsError(draft),
    capacity: capacityError(draft),
    name: clusterNameError(draft.name),
    labels: labelsError(draft.labels),
  };
}

function usageLimits(draft: Draft): Schemas["UsageLimits"] | undefined {
  if (draft.plan === "STANDARD") return { provisioned_virtual_cpus: String(draft.vcpus) };
  if (draft.requestUnits === null && draft.storageMib === null) return undefined;
  return {
    ...(draft.requestUnits === null ? {} : { request_unit_limit: String(draft.requestUnits) }),
    ...(draft.storageMib === null ? {} : { storage_mib_limit: String(draft.storageMib) }),
  };
}

export function toRequest(draft: Draft): Schemas["CreateClusterRequest"] {
  const [primary = "", ...others] = draft.regions;
  const common = {
    plan: draft.plan,
    parent_id: draft.folder,
    labels: labelsFromRows(draft.labels),
    delete_protection: draft.protected ? ("ENABLED" as const) : ("DISABLED" as const),
  };
  const spec =
    draft.plan === "ADVANCED"
      ? {
          ...common,
          dedicated: {
            region_nodes: { [primary]: draft.cloud === "AZURE" ? 3 : 1 },
            hardware: { machine_spec: { num_virtual_cpus: draft.nodeVcpus }, storage_gib: draft.nodeStorageGib },
          },
        }
      : {
          ...common,
          serverless: {
            regions: draft.regions,
            ...(others.length > 0 ? { primary_region: primary } : {}),
            usage_limits: usageLimits(draft),
          },
        };
  return { name: draft.name, provider: draft.cloud, spec };
}
