import { Alert, Text } from "@mantine/core";
import { IconInfoCircle } from "@tabler/icons-react";

/** A note about the whole page, such as that its settings are only recorded. */
export function Note({ text }: { text: string }) {
  return (
    <Alert color="blue" variant="light" role="note" icon={<IconInfoCircle size={18} aria-hidden />}>
      <Text size="sm" c="var(--mantine-color-text)">
        {text}
      </Text>
    </Alert>
  );
}
