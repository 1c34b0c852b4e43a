/** One entry, whole: who, what, from where, how it ended, and its payload. */
import { Alert, Badge, Button, Drawer, Group, Stack, Text, Title } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { Copy } from "../../components/Copy";
import { Empty } from "../../components/Empty";
import { ErrorNote } from "../../components/ErrorNote";
import { Json, pretty } from "../../components/Json";
import { moment } from "../../components/time";
import classes from "./audit.module.css";
import { actionLabel, actorOf, bareAction, sourceLabel, type AuditSearch, type Entry } from "./filters";

interface Props {
  opened: boolean;
  entry?: Entry;
  missing: boolean;
  error?: unknown;
  onClose: () => void;
  onFilter: (change: Partial<AuditSearch>) => void;
}

export function EntryDrawer({ opened, entry, missing, error, onClose, onFilter }: Props) {
  return (
    <Drawer
      opened={opened}
      onClose={onClose}
      position="right"
      size="lg"
      title={entry ? actionLabel(entry.action) : "Audit entry"}
    >
      {entry && <Whole entry={entry} onFilter={onFilter} />}
      {missing && (
        <Empty
          icon={IconX}
          title="This entry is not here"
          text="The link names an entry that this organization does not have."
        />
      )}
      {error ? <ErrorNote error={error} /> : null}
    </Drawer>
  );
}

function Whole({ entry, onFilter }: { entry: Entry; onFilter: Props["onFilter"] }) {
  return (
    <Stack>
      {entry.error ? (
        <Alert color="red" variant="light" title="It was refused or failed">
          {entry.error}
        </Alert>
      ) : (
        <div>
          <Badge color="green" variant="light" c="light-dark(#1d5c2c, var(--mantine-color-green-3))">
            Done
          </Badge>
        </div>
      )}
      <dl className={classes.facts}>
        <dt>When</dt>
        <dd>
          {moment(entry.created_at)} <span className={classes.code}>{entry.created_at}</span>
        </dd>
        <dt>Who</dt>
        <dd>{actorOf(entry)}</dd>
        <dt>Through</dt>
        <dd>
          {sourceLabel(entry.source)}
          {entry.metadata?.ip_address && ` from ${entry.metadata.ip_address}`}
        </dd>
        {entry.cluster_id && (
          <>
            <dt>Cluster</dt>
            <dd>
              <Link
                to="/clusters/$clusterId/overview"
                params={{ clusterId: entry.cluster_id }}
                className={classes.link}
              >
                {entry.cluster_name ?? entry.cluster_id}
              </Link>
            </dd>
          </>
        )}
        <dt>Trace</dt>
        <dd>
          <Copy value={entry.trace_id} label="Copy trace id" inline />
        </dd>
        <dt>Entry</dt>
        <dd>
          <Copy value={entry.id} label="Copy id" inline />
        </dd>
      </dl>
      <Stack gap={6}>
        <Title order={3}>Payload</Title>
        <Json value={pretty(entry.payload)} label="Payload" />
        <Text size="xs" c="dimmed">
          The operation, its path and its body, without secrets; long ones are cut at 8 KiB.
        </Text>
      </Stack>
      <Group gap="xs">
        <Button variant="default" size="xs" onClick={() => onFilter({ action: bareAction(entry.action) })}>
          Only this action
        </Button>
        <Button variant="default" size="xs" onClick={() => onFilter({ actor: actorOf(entry) })}>
          Only {actorOf(entry)}
        </Button>
        {entry.cluster_id && (
          <Button variant="default" size="xs" onClick={() => onFilter({ cluster: entry.cluster_id ?? undefined })}>
            Only this cluster
          </Button>
        )}
      </Group>
    </Stack>
  );
}
