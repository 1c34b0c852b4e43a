import { Alert, Badge, Button, Drawer, Group, Stack, Text, Title } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { CopyButton } from "../../components/CopyButton";
import { DescriptionList } from "../../components/DescriptionList";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { JsonEditor, formatJson } from "../../components/JsonEditor";
import { formatDateTime } from "../../lib/format";
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

/** One entry with all its details. */
export function EntryDrawer({ opened, entry, missing, error, onClose, onFilter }: Props) {
  return (
    <Drawer
      opened={opened}
      onClose={onClose}
      position="right"
      size="lg"
      title={entry ? actionLabel(entry.action) : "Audit log entry"}
    >
      {entry && <Details entry={entry} onFilter={onFilter} />}
      {missing && (
        <EmptyState
          icon={IconX}
          title="Entry not found"
          text="This organization has no audit log entry with this ID."
        />
      )}
      {error ? <ErrorAlert error={error} /> : null}
    </Drawer>
  );
}

function Details({ entry, onFilter }: { entry: Entry; onFilter: Props["onFilter"] }) {
  return (
    <Stack>
      {entry.error ? (
        <Alert color="red" variant="light" title="Failed">
          {entry.error}
        </Alert>
      ) : (
        <div>
          <Badge color="green" variant="light" c="light-dark(#1d5c2c, var(--mantine-color-green-3))">
            Succeeded
          </Badge>
        </div>
      )}
      <DescriptionList
        items={[
          {
            term: "Time",
            value: (
              <>
                {formatDateTime(entry.created_at)} <span className={classes.code}>{entry.created_at}</span>
              </>
            ),
          },
          { term: "Actor", value: actorOf(entry) },
          {
            term: "Source",
            value: [sourceLabel(entry.source), entry.metadata?.ip_address].filter(Boolean).join(", "),
          },
          entry.cluster_id
            ? {
                term: "Cluster",
                value: (
                  <Link
                    to="/clusters/$clusterId/overview"
                    params={{ clusterId: entry.cluster_id }}
                    className={classes.link}
                  >
                    {entry.cluster_name ?? entry.cluster_id}
                  </Link>
                ),
              }
            : null,
          { term: "Trace ID", value: <CopyButton value={entry.trace_id} label="Copy trace ID" inline /> },
          { term: "Entry ID", value: <CopyButton value={entry.id} label="Copy entry ID" inline /> },
        ]}
      />
      <Stack gap={6}>
        <Title order={3}>Payload</Title>
        <JsonEditor value={formatJson(entry.payload)} label="Payload" />
        <Text size="xs" c="dimmed">
          The operation with its path and body, without secrets. Payloads are truncated at 8 KiB.
        </Text>
      </Stack>
      <Group gap="xs">
        <Button variant="default" size="xs" onClick={() => onFilter({ action: bareAction(entry.action) })}>
          Filter by this action
        </Button>
        <Button variant="default" size="xs" onClick={() => onFilter({ actor: actorOf(entry) })}>
          Filter by this actor
        </Button>
        {entry.cluster_id && (
          <Button variant="default" size="xs" onClick={() => onFilter({ cluster: entry.cluster_id ?? undefined })}>
            Filter by this cluster
          </Button>
        )}
      </Group>
    </Stack>
  );
}
