/** How the parts of a cluster are named for people. */
import type { Cluster, FolderResource, Schemas } from "../../api/client";
import { foldersAbove } from "../../api/queries";

export const PLAN: Record<Schemas["Plan"], string> = { BASIC: "Basic", STANDARD: "Standard", ADVANCED: "Advanced" };
export const CLOUD: Record<Schemas["CloudProvider"], string> = { AWS: "AWS", GCP: "Google Cloud", AZURE: "Azure" };

export function regionsOf(cluster: Cluster): string {
  return cluster.regions.map(({ name }) => name).join(", ");
}

/** `production / payments`, or nothing at the top. */
export function folderPath(folders: FolderResource[], parent: string): string {
  return foldersAbove(folders, parent)
    .map(({ name }) => name)
    .join(" / ");
}

/** A number that the API writes as text, because it may be large. */
export function amount(text: string | null | undefined): number | null {
  return text === null || text === undefined || text === "" ? null : Number(text);
}

const LABEL_KEY = /^[a-z][a-z0-9_-]{0,62}$/;
const LABEL_VALUE = /^[a-z0-9_-]{0,63}$/;

export type LabelRow = [key: string, value: string];

/** What is wrong with labels, or null. The server has the same rules. */
export function labelsProblem(rows: LabelRow[]): string | null {
  const used = rows.filter(([key, value]) => key || value);
  if (used.length > 50) return "at most 50 labels are allowed";
  for (const [key, value] of used) {
    if (!LABEL_KEY.test(key)) return `"${key}": a key begins with a lower-case letter, then letters, digits, _ and -`;
    if (!LABEL_VALUE.test(value)) return `"${value}": a value has only lower-case letters, digits, _ and -`;
  }
  const keys = new Set(used.map(([key]) => key));
  return keys.size < used.length ? "two labels have the same key" : null;
}

export function labelsOf(rows: LabelRow[]): Record<string, string> {
  return Object.fromEntries(rows.filter(([key]) => key));
}
