import type { Cluster } from "../../api/client";
import { isBusy, isDataMissing, isRestoring } from "../../api/queries";
import { StatusBadge, type Status } from "../../components/StatusBadge";

/** `CRDB_SCALE_RUNNING` as `Scale`. */
function operationLabel(status: string): string {
  const text = status
    .replace(/^(CRDB|TENANT|DEDICATED_FULL_CLUSTER)_/, "")
    .replace(/_(RUNNING|FAILED)$/, "")
    .replaceAll("_", " ")
    .toLowerCase();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function stateOf(cluster: Cluster): Status {
  const { state, operation_status: operation, ootheca } = cluster;
  if (state === "CREATING") return { label: "Creating", tone: "busy", hint: "The cluster is being created" };
  if (state === "CREATION_FAILED") return { label: "Failed", tone: "bad", hint: "The cluster couldn't be created" };
  if (state === "DELETED") return { label: "Deleted", tone: "quiet", hint: "The cluster has been deleted" };
  if (operation.endsWith("_FAILED")) {
    return { label: `${operationLabel(operation)} failed`, tone: "bad", hint: operation };
  }
  if (isRestoring(cluster)) return { label: "Restoring", tone: "busy", hint: "A backup is being restored" };
  if (isBusy(cluster)) {
    const label = operationLabel(operation === "UNSPECIFIED" ? "LOCKED" : operation);
    return { label, tone: "busy", hint: operation };
  }
  if (isDataMissing(cluster)) return { label: "Data missing", tone: "bad", hint: "SQL clients can't connect" };
  if (ootheca.limit_status === "REQUEST_UNIT_LIMIT_EXCEEDED") {
    return { label: "Disabled", tone: "bad", hint: "This month's request units are used up" };
  }
  if (ootheca.limit_status === "STORAGE_LIMIT_EXCEEDED") {
    return { label: "Over storage limit", tone: "warn", hint: "The cluster stores more than its limit" };
  }
  if (ootheca.suspended) return { label: "Suspended", tone: "quiet", hint: "Resumes when a client connects" };
  return { label: "Ready", tone: "good", hint: "Accepting connections" };
}

/** The state of a cluster. */
export function StateBadge({ cluster }: { cluster: Cluster }) {
  return <StatusBadge {...stateOf(cluster)} />;
}
