import { Alert, Button, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { ApiError, describe } from "../api/client";
import { Copy } from "./Copy";

interface Props {
  error: unknown;
  title?: string;
  /** Offers to try again. */
  retry?: () => void;
}

/** What went wrong, in the server's words, with the trace id that finds it in the log. */
export function ErrorNote({ error, title, retry }: Props) {
  const traceId = error instanceof ApiError ? error.traceId : undefined;
  const denied = error instanceof ApiError && error.status === 403;
  return (
    <Alert
      color={denied ? "gray" : "red"}
      variant="light"
      role="alert"
      icon={<IconAlertTriangle size={18} aria-hidden />}
      title={title ?? (denied ? "You may not do or see this" : undefined)}
    >
      <Text size="sm" c="var(--mantine-color-text)" style={{ overflowWrap: "anywhere" }}>
        {describe(error)}
      </Text>
      {traceId && (
        <Text size="xs" c="dimmed" mt={4}>
          Trace <Copy value={traceId} inline />
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
