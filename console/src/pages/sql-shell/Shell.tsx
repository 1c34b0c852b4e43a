import { ActionIcon, Button, CopyButton, Group, Kbd, Select, Skeleton, Switch, Text, Tooltip } from "@mantine/core";
import { IconCheck, IconLink, IconPlayerPlay, IconPlayerStop, IconTestPipe } from "@tabler/icons-react";
import { lazy, Suspense, useState } from "react";
import type { Cluster } from "../../api/client";
import { useDatabases } from "../../api/sql-objects";
import { History } from "./History";
import { ResultPanel } from "./ResultPanel";
import { useHistory } from "./history";
import { useRunner, useStatement } from "./statement";
import classes from "./Sql.module.css";

const Editor = lazy(() => import("./Editor"));

/** The editor, its controls, and the result of the last statement. */
export function Shell({ cluster }: { cluster: Cluster }) {
  const databases = useDatabases(cluster.id);
  const { statement, database, change } = useStatement();
  const { history, add, clear } = useHistory(cluster.id);
  const { outcome, running, run, cancel } = useRunner(cluster.id, add);
  const [write, setWrite] = useState(false);
  const names = databases.data?.map(({ name }) => name) ?? [];
  // The error position refers to the statement that was run, so it is not marked in another one.
  const errorOffset = outcome?.request.statement === statement ? (outcome.error?.offset ?? null) : null;
  const submit = (explain: boolean) => run({ database, statement, write, explain });
  const empty = statement.trim() === "";
  return (
    <>
      <section className={`panel ${classes.shell}`} aria-label="Statement" data-write={write || undefined}>
        <div className={classes.bar}>
          <Select
            aria-label="Database"
            className={classes.database}
            data={names.includes(database) ? names : [...names, database]}
            value={database}
            onChange={(name) => name && change({ database: name })}
            allowDeselect={false}
            searchable
            size="xs"
          />
          <Switch
            label="Allow changes"
            checked={write}
            onChange={(event) => setWrite(event.currentTarget.checked)}
            color="orange.8"
          />
          <Text size="xs" className={classes.mode} role="status">
            {write ? "Changes will be committed" : "Read-only"}
          </Text>
          <Group gap={6} ml="auto" className={classes.tools}>
            <CopyButton value={location.href} timeout={1500}>
              {({ copied, copy }) => (
                <Tooltip label={copied ? "Copied" : "Copy a link to this statement"}>
                  <ActionIcon variant="subtle" color="gray" onClick={copy} aria-label="Copy a link to this statement">
                    {copied ? <IconCheck size={17} aria-hidden /> : <IconLink size={17} aria-hidden />}
                  </ActionIcon>
                </Tooltip>
              )}
            </CopyButton>
            <History
              history={history}
              onClear={clear}
              onSelect={({ statement, database }) => change({ statement, database })}
            />
          </Group>
        </div>
        <div className={classes.frame}>
          <Suspense fallback={<Skeleton height="100%" radius={0} role="status" aria-label="Loading the editor" />}>
            <Editor
              value={statement}
              onChange={(text) => change({ statement: text })}
              onRun={() => submit(false)}
              errorOffset={errorOffset}
            />
          </Suspense>
        </div>
        <div className={classes.bar}>
          <Text size="xs" c="dimmed" visibleFrom="xs">
            <Kbd size="xs">Ctrl</Kbd> <Kbd size="xs">Enter</Kbd> to run
          </Text>
          <Group gap={8} ml="auto">
            {running && (
              <Button
                size="xs"
                variant="subtle"
                color="gray"
                onClick={cancel}
                leftSection={<IconPlayerStop size={15} aria-hidden />}
              >
                Cancel
              </Button>
            )}
            <Tooltip
              label={
                write
                  ? "Runs the statement, measures it, and rolls back its changes"
                  : "Shows the query plan without running the statement"
              }
            >
              <Button
                size="xs"
                variant="default"
                disabled={empty || running}
                onClick={() => submit(true)}
                leftSection={<IconTestPipe size={15} aria-hidden />}
              >
                Explain
              </Button>
            </Tooltip>
            <Button
              size="xs"
              loading={running}
              disabled={empty}
              onClick={() => submit(false)}
              leftSection={<IconPlayerPlay size={15} aria-hidden />}
            >
              Run
            </Button>
          </Group>
        </div>
      </section>
      <ResultPanel outcome={outcome} write={write} />
    </>
  );
}
