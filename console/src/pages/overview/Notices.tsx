/** What a user should know at once, and what to do about it. */
import { Alert, Button, Text } from "@mantine/core";
import { IconAlertTriangle, IconInfoCircle, IconMoon } from "@tabler/icons-react";
import type { Cluster } from "../../api/client";

interface Notice {
  key: string;
  color: string;
  title: string;
  text: string;
  icon: typeof IconMoon;
  /** Whether more room helps. */
  limits?: boolean;
}

function noticesOf(cluster: Cluster): Notice[] {
  const { state, operation_status: operation, ootheca } = cluster;
  const notices: Notice[] = [];
  const warn = (key: string, color: string, title: string, text: string, limits = false) =>
    notices.push({ key, color, title, text, icon: IconAlertTriangle, limits });
  if (state === "DELETED") warn("gone", "gray", "This cluster is deleted", "Nothing of it is left but this page.");
  if (state === "CREATION_FAILED") {
    warn(
      "failed",
      "red",
      "This cluster could not be made",
      "Delete it and create another one; the server’s log says why.",
    );
  }
  if (operation.endsWith("_FAILED")) {
    warn("operation", "red", "The last operation failed", `${operation}. The server tries again; its log says why.`);
  }
  if (ootheca.standing === "REQUEST_UNIT_LIMIT_EXCEEDED") {
    warn(
      "units",
      "red",
      "Disabled: the request units of this month are used up",
      "No session is let in until the limit is raised or the next month begins. Nothing is lost.",
      true,
    );
  }
  if (ootheca.standing === "STORAGE_LIMIT_EXCEEDED") {
    warn(
      "storage",
      "orange",
      "Over its storage limit",
      "One session at a time may connect, and only to delete. Delete data or raise the limit.",
      true,
    );
  }
  for (const { kind, holds, message } of ootheca.conditions) {
    if (holds) notices.push({ key: kind, color: "blue", title: message, text: "", icon: IconInfoCircle });
  }
  if (ootheca.suspended && state === "CREATED") {
    notices.push({
      key: "asleep",
      color: "gray",
      title: "",
      text: "Asleep: nobody was connected for a while, so its server is stopped and costs nothing. It wakes in a moment when somebody connects.",
      icon: IconMoon,
    });
  }
  return notices;
}

export function Notices({ cluster, onEditLimits }: { cluster: Cluster; onEditLimits?: () => void }) {
  return noticesOf(cluster).map(({ key, color, title, text, icon: Sign, limits }) => (
    <Alert key={key} color={color} variant="light" title={title || undefined} icon={<Sign size={18} aria-hidden />}>
      {text && (
        <Text size="sm" c="var(--mantine-color-text)">
          {text}
        </Text>
      )}
      {limits && onEditLimits && (
        <Button size="xs" variant="default" mt="sm" onClick={onEditLimits}>
          Raise the limit
        </Button>
      )}
    </Alert>
  ));
}
