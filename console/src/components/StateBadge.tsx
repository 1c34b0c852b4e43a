import { Loader } from "@mantine/core";
import type { Cluster } from "../api/client";
import { isBusy } from "../api/queries";
import classes from "./StateBadge.module.css";

interface Look {
  label: string;
  tone: "good" | "busy" | "quiet" | "warn" | "bad";
  hint: string;
  busy?: boolean;
}

/** `CRDB_SCALE_RUNNING` as a person says it. */
function words(status: string): string {
  const text = status
    .replace(/^(CRDB|TENANT|DEDICATED_FULL_CLUSTER)_/, "")
    .replace(/_(RUNNING|FAILED)$/, "")
    .replaceAll("_", " ")
    .toLowerCase();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function look(cluster: Cluster): Look {
  const { state, operation_status: operation, ootheca } = cluster;
  if (state === "CREATING") return { label: "Creating", tone: "busy", busy: true, hint: "It is being made" };
  if (state === "CREATION_FAILED") return { label: "Failed", tone: "bad", hint: "It could not be made" };
  if (state === "DELETED") return { label: "Deleted", tone: "quiet", hint: "It is gone" };
  if (operation.endsWith("_FAILED")) return { label: `${words(operation)} failed`, tone: "bad", hint: operation };
  if (isBusy(cluster)) {
    return {
      label: words(operation === "UNSPECIFIED" ? "LOCKED" : operation),
      tone: "busy",
      busy: true,
      hint: operation,
    };
  }
  if (ootheca.standing === "REQUEST_UNIT_LIMIT_EXCEEDED") {
    return { label: "Disabled", tone: "bad", hint: "Its request units of this month are used up" };
  }
  if (ootheca.standing === "STORAGE_LIMIT_EXCEEDED") {
    return { label: "Over storage", tone: "warn", hint: "It holds more than its storage limit" };
  }
  if (ootheca.suspended) return { label: "Asleep", tone: "quiet", hint: "It wakes when somebody connects" };
  return { label: "Ready", tone: "good", hint: "It takes connections" };
}

/** How a cluster is, in one word. */
export function StateBadge({ cluster }: { cluster: Cluster }) {
  const { label, tone, hint, busy } = look(cluster);
  return (
    <span className={classes.badge} data-tone={tone} title={hint}>
      {busy ? <Loader size={10} color="currentColor" aria-hidden /> : <span className={classes.dot} aria-hidden />}
      {label}
    </span>
  );
}
