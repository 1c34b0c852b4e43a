import { Badge, Loader, Tooltip } from "@mantine/core";
import type { Cluster } from "../api/client";
import { isBusy } from "../api/queries";

interface Look {
  label: string;
  color: string;
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
  if (state === "CREATING") return { label: "Creating", color: "blue", busy: true, hint: "It is being made" };
  if (state === "CREATION_FAILED") return { label: "Failed", color: "red", hint: "It could not be made" };
  if (state === "DELETED") return { label: "Deleted", color: "gray", hint: "It is gone" };
  if (operation.endsWith("_FAILED")) return { label: `${words(operation)} failed`, color: "red", hint: operation };
  if (isBusy(cluster)) return { label: words(operation === "UNSPECIFIED" ? "LOCKED" : operation), color: "blue", busy: true, hint: operation };
  if (ootheca.standing === "REQUEST_UNIT_LIMIT_EXCEEDED") {
    return { label: "Disabled", color: "red", hint: "Its request units of this month are used up" };
  }
  if (ootheca.standing === "STORAGE_LIMIT_EXCEEDED") {
    return { label: "Over storage", color: "orange", hint: "It holds more than its storage limit" };
  }
  if (ootheca.suspended) return { label: "Asleep", color: "gray", hint: "It wakes when somebody connects" };
  return { label: "Ready", color: "green", hint: "It takes connections" };
}

/** How a cluster is, in one word. */
export function StateBadge({ cluster }: { cluster: Cluster }) {
  const { label, color, hint, busy } = look(cluster);
  return (
    <Tooltip label={hint}>
      <Badge
        color={color}
        variant="light"
        radius="sm"
        tt="none"
        fw={600}
        c={`light-dark(var(--mantine-color-${color}-9), var(--mantine-color-${color}-3))`}
        leftSection={busy ? <Loader size={10} color="currentColor" aria-hidden /> : undefined}
      >
        {label}
      </Badge>
    </Tooltip>
  );
}
