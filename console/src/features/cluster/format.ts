/** How the properties of a cluster are displayed. */
import type { Cluster, FolderResource, Schemas } from "../../api/client";
import { foldersAbove } from "../../api/queries";

export const PLAN_NAMES: Record<Schemas["Plan"], string> = {
  BASIC: "Basic",
  STANDARD: "Standard",
  ADVANCED: "Advanced",
};
export const CLOUD_NAMES: Record<Schemas["CloudProvider"], string> = {
  AWS: "AWS",
  GCP: "Google Cloud",
  AZURE: "Azure",
};

export const MIB = 1024 * 1024;

export function regionNames(cluster: Cluster): string {
  return cluster.regions.map(({ name }) => name).join(", ");
}

/** `production / payments`, or an empty string for a cluster outside folders. */
export function folderPath(folders: FolderResource[], parent: string): string {
  return foldersAbove(folders, parent)
    .map(({ name }) => name)
    .join(" / ");
}

/** A 64-bit number, which the API represents as a string. */
export function parseAmount(text: string | null | undefined): number | null {
  return text === null || text === undefined || text === "" ? null : Number(text);
}

export function labelText(key: string, value: string): string {
  return value ? `${key}: ${value}` : key;
}

/** The limits of a cluster; `null` means unlimited. */
export function limitsOf(cluster: Cluster) {
  const { serverless, dedicated } = cluster.config;
  const limits = serverless?.usage_limits;
  return {
    requestUnits: parseAmount(limits?.request_unit_limit),
    storageMib: parseAmount(limits?.storage_mib_limit) ?? (dedicated ? dedicated.storage_gib * 1024 : null),
    vcpus: parseAmount(limits?.provisioned_virtual_cpus) ?? dedicated?.num_virtual_cpus ?? null,
  };
}
