import { Badge, Group, Text } from "@mantine/core";
import { labelText } from "./format";

/** Labels as badges. */
export function Labels({ labels, empty }: { labels: Record<string, string>; empty?: string }) {
  const entries = Object.entries(labels);
  if (entries.length === 0 && empty) {
    return (
      <Text span c="dimmed" size="sm">
        {empty}
      </Text>
    );
  }
  return (
    <Group gap={6}>
      {entries.map(([key, value]) => (
        <Badge key={key} variant="default" radius="sm" tt="none" fw={500}>
          {labelText(key, value)}
        </Badge>
      ))}
    </Group>
  );
}
