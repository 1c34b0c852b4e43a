import { Alert, Button, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { ApiError, errorMessage } from "../api/client";
import { CopyButton } from "./CopyButton";

interface Props {
  error: unknown;
  title?: string;
  /** Tries to load again what couldn't be loaded. */
  retry?: () => void;
}

/** An error in the server's words, with the trace ID that identifies it in the log. */
export function ErrorAlert({ error, title, retry }: Props) {
  const traceId = error instanceof ApiError ? error.traceId : undefined;
  const denied = error instanceof ApiError && error.status === 403;
  return (
    <Alert
      color={denied ? "gray" : "red"}
      variant="light"
      role="alert"
      icon={<IconAlertTriangle size={18} aria-hidden />}
      title={denied ? `You don't have permission to ${retry ? "view" : "do"} this` : title}
    >
      <Text size="sm" c="var(--mantine-color-text)" style={{ overflowWrap: "anywhere" }}>
        {errorMessage(error)}
      </Text>
      {traceId && (
        <Text size="xs" c="dimmed" mt={4}>
          Trace <CopyButton value={traceId} label="Copy trace ID" inline />
        </Text>
      )}
      {retry && (
        <Button size="xs" variant="default" mt="sm" onClick={retry}>
          Try again
        </Button>
      )}
    </Alert>
  );
}
