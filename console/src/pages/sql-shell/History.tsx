import { ActionIcon, Button, Drawer, Group, Stack, Text, Tooltip, UnstyledButton } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconHistory } from "@tabler/icons-react";
import { RelativeTime } from "../../components/RelativeTime";
import type { HistoryEntry } from "./history";
import classes from "./Sql.module.css";

interface Props {
  history: HistoryEntry[];
  onSelect: (entry: HistoryEntry) => void;
  onClear: () => void;
}

/** The statements of this browser tab. Selecting one puts it into the editor, without running it. */
export function History({ history, onSelect, onClear }: Props) {
  const [opened, drawer] = useDisclosure();
  return (
    <>
      <Tooltip label="Statement history">
        <ActionIcon variant="subtle" color="gray" onClick={drawer.open} aria-label="History">
          <IconHistory size={17} aria-hidden />
        </ActionIcon>
      </Tooltip>
      <Drawer opened={opened} onClose={drawer.close} position="right" title="History">
        <Stack gap="xs">
          <Text size="sm" c="dimmed">
            {history.length === 0
              ? "Statements that you run in this tab appear here."
              : "Select a statement to edit it. The history is deleted when you close this tab."}
          </Text>
          {history.length > 0 && (
            <ul className={classes.history}>
              {history.map((entry) => (
                <li key={entry.at}>
                  <UnstyledButton
                    className={classes.entry}
                    onClick={() => {
                      onSelect(entry);
                      drawer.close();
                    }}
                  >
                    <code>{entry.statement}</code>
                    <Group gap={8} c="dimmed" fz="xs">
                      <span>{entry.database}</span>
                      <span data-failed={entry.failed || undefined}>{entry.outcome}</span>
                      <RelativeTime time={new Date(entry.at).toISOString()} />
                    </Group>
                  </UnstyledButton>
                </li>
              ))}
            </ul>
          )}
          {history.length > 0 && (
            <Button variant="default" size="xs" onClick={onClear}>
              Clear history
            </Button>
          )}
        </Stack>
      </Drawer>
    </>
  );
}
