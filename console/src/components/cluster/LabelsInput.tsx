import { ActionIcon, Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import type { LabelRow } from "./words";

interface Props {
  rows: LabelRow[];
  onChange: (rows: LabelRow[]) => void;
  problem?: string | null;
}

/** Keys and values, row by row. */
export function LabelsInput({ rows, onChange, problem }: Props) {
  const set = (index: number, row: LabelRow) => onChange(rows.with(index, row));
  return (
    <Stack gap="xs">
      {rows.map(([key, value], index) => (
        <Group key={index} gap="xs" wrap="nowrap">
          <TextInput
            aria-label={`Key of label ${index + 1}`}
            placeholder="key"
            value={key}
            onChange={(event) => set(index, [event.currentTarget.value, value])}
            flex={1}
          />
          <TextInput
            aria-label={`Value of label ${index + 1}`}
            placeholder="value"
            value={value}
            onChange={(event) => set(index, [key, event.currentTarget.value])}
            flex={1}
          />
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label={`Remove label ${key || index + 1}`}
            onClick={() => onChange(rows.toSpliced(index, 1))}
          >
            <IconTrash size={16} aria-hidden />
          </ActionIcon>
        </Group>
      ))}
      {problem && (
        <Text size="sm" c="var(--mantine-color-error)" role="alert">
          {problem}
        </Text>
      )}
      <Button
        variant="default"
        size="xs"
        leftSection={<IconPlus size={14} aria-hidden />}
        onClick={() => onChange([...rows, ["", ""]])}
        disabled={rows.length >= 50}
        style={{ alignSelf: "flex-start" }}
      >
        Add label
      </Button>
    </Stack>
  );
}
