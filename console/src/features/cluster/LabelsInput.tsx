import { ActionIcon, Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { LABELS_RULE, MAX_LABELS, type LabelRow } from "../../api/validation";

interface Props {
  rows: LabelRow[];
  onChange: (rows: LabelRow[]) => void;
  problem?: string | null;
}

/** Edits labels: a key and a value in each row. */
export function LabelsInput({ rows, onChange, problem }: Props) {
  const set = (index: number, row: LabelRow) => onChange(rows.with(index, row));
  return (
    <Stack gap="xs">
      <Text size="xs" c="dimmed">
        {LABELS_RULE}
      </Text>
      {rows.map(([key, value], index) => (
        <Group key={index} gap="xs" wrap="nowrap">
          <TextInput
            aria-label={`Key ${index + 1}`}
            placeholder="Key"
            value={key}
            onChange={(event) => set(index, [event.currentTarget.value, value])}
            flex={1}
          />
          <TextInput
            aria-label={`Value ${index + 1}`}
            placeholder="Value"
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
        disabled={rows.length >= MAX_LABELS}
        style={{ alignSelf: "flex-start" }}
      >
        Add label
      </Button>
    </Stack>
  );
}
