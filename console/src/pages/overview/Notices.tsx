/** Alerts about the state of the cluster. */
import { Alert, Button, Text } from "@mantine/core";
import { IconAlertTriangle, IconInfoCircle, IconMoon } from "@tabler/icons-react";
import type { Cluster } from "../../api/client";
import { BACKUPS_DISABLED, CREATION_FAILED, creationFailure, DATA_MISSING, isDataMissing } from "../../api/queries";

interface Notice {
  key: string;
  color: string;
  title: string;
  text: string;
  icon: typeof IconMoon;
  /** Whether raising a limit solves the problem. */
  limits?: boolean;
}

/** The color and the title of the conditions that need attention. */
const WARNINGS: Record<string, [color: string, title: string]> = {
  [DATA_MISSING]: ["red", "Data missing"],
  BackupDamaged: ["orange", "Backups are damaged"],
  BackupFailed: ["orange", "Backups are overdue"],
  [BACKUPS_DISABLED]: ["orange", "Backups are turned off"],
  DiskPressure: ["orange", "Disk space is low"],
  NotResponding: ["orange", "The SQL server does not respond"],
  RoleLimitExceeded: ["orange", "Too many SQL roles"],
};

function noticesOf(cluster: Cluster): Notice[] {
  const { state, operation_status: operation, ootheca } = cluster;
  const notices: Notice[] = [];
  const warn = (key: string, color: string, title: string, text: string, limits = false) =>
    notices.push({ key, color, title, text, icon: IconAlertTriangle, limits });
  if (state === "DELETED") warn("deleted", "gray", "This cluster has been deleted", "Its data has been deleted.");
  if (state === "CREATION_FAILED") {
    warn(
      "failed",
      "red",
      "Couldn't create this cluster",
      creationFailure(cluster) ?? "See the server log for details, then delete this cluster and create another one.",
    );
  }
  if (operation.endsWith("_FAILED")) {
    warn(
      "operation",
      "red",
      "The last operation failed",
      `${operation}. The server will retry. See its log for details.`,
    );
  }
  if (ootheca.limit_status === "REQUEST_UNIT_LIMIT_EXCEEDED") {
    warn(
      "units",
      "red",
      "Disabled: this month's request units are used up",
      "SQL clients can't connect until you raise the limit or the next month begins. Your data is safe.",
      true,
    );
  }
  if (ootheca.limit_status === "STORAGE_LIMIT_EXCEEDED") {
    warn(
      "storage",
      "orange",
      "Storage limit exceeded",
      "Over the limit, only one connection at a time is allowed, so that you can delete data. Delete data or raise the limit.",
      true,
    );
  }
  for (const { kind, holds, message } of ootheca.conditions) {
    if (!holds || (kind === CREATION_FAILED && state === "CREATION_FAILED")) continue;
    const warning = WARNINGS[kind];
    if (warning) warn(kind, ...warning, message);
    else notices.push({ key: kind, color: "blue", title: message, text: "", icon: IconInfoCircle });
  }
  if (ootheca.suspended && state === "CREATED" && !isDataMissing(cluster)) {
    notices.push({
      key: "suspended",
      color: "gray",
      title: "",
      text: "This cluster is suspended because it was idle. It resumes when a client connects.",
      icon: IconMoon,
    });
  }
  return notices;
}

export function Notices({ cluster, onEditLimits }: { cluster: Cluster; onEditLimits?: () => void }) {
  return noticesOf(cluster).map(({ key, color, title, text, icon: Icon, limits }) => (
    <Alert key={key} color={color} variant="light" title={title || undefined} icon={<Icon size={18} aria-hidden />}>
      {text && (
        <Text size="sm" c="var(--mantine-color-text)">
          {text}
        </Text>
      )}
      {limits && onEditLimits && (
        <Button size="xs" variant="default" mt="sm" onClick={onEditLimits}>
          Raise limit
        </Button>
      )}
    </Alert>
  ));
}
