import { ActionIcon, Button, Drawer, Group, Stack, Text, Tooltip, UnstyledButton } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconHistory } from "@tabler/icons-react";
import { TimeAgo } from "../../components/TimeAgo";
import type { Past } from "./history";
import classes from "./Sql.module.css";

interface Props {
  history: Past[];
  onPick: (past: Past) => void;
  onForget: () => void;
}

/** What was run in this browser session. Picking puts it into the editor; it does not run. */
export function History({ history, onPick, onForget }: Props) {
  const [opened, drawer] = useDisclosure();
  return (
    <>
      <Tooltip label="Statements of this browser session">
        <ActionIcon variant="subtle" color="gray" onClick={drawer.open} aria-label="History">
          <IconHistory size={17} aria-hidden />
        </ActionIcon>
      </Tooltip>
      <Drawer opened={opened} onClose={drawer.close} position="right" title="History">
        <Stack gap="xs">
          <Text size="sm" c="dimmed">
            {history.length === 0
              ? "What you run appears here until this tab is closed."
              : "Kept in this tab only, until it is closed. Choosing one puts it into the editor."}
          </Text>
          {history.length > 0 && (
            <ul className={classes.history}>
              {history.map((past) => (
                <li key={past.at}>
                  <UnstyledButton
                    className={classes.past}
                    onClick={() => {
                      onPick(past);
                      drawer.close();
                    }}
                  >
                    <code>{past.statement}</code>
                    <Group gap={8} c="dimmed" fz="xs">
                      <span>{past.database}</span>
                      <span data-failed={past.failed || undefined}>{past.outcome}</span>
                      <TimeAgo time={new Date(past.at).toISOString()} />
                    </Group>
                  </UnstyledButton>
                </li>
              ))}
            </ul>
          )}
          {history.length > 0 && (
            <Button variant="default" size="xs" onClick={onForget}>
              Forget all
            </Button>
          )}
        </Stack>
      </Drawer>
    </>
  );
}
