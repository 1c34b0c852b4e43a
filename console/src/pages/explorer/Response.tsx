/** The response of the server: status, duration, trace ID, headers, and body. */
import { Badge, Group, Stack, Table, Tabs, Text, Title } from "@mantine/core";
import { CopyButton } from "../../components/CopyButton";
import { JsonEditor, formatJson } from "../../components/JsonEditor";
import classes from "./explorer.module.css";
import { formatDuration } from "../../lib/format";
import type { RecordedResponse } from "./send";

export function Response({ response }: { response: RecordedResponse }) {
  return (
    <Stack component="section" gap="sm" aria-labelledby="explorer-response">
      <Group gap="sm">
        <Title order={3} size="h3" id="explorer-response">
          Response
        </Title>
        <Badge {...statusColor(response.status)} variant="light" tt="none" role="status">
          {response.status} {response.statusText}
        </Badge>
        {response.dryRun && response.status < 300 && (
          <Badge color="grape" variant="light" tt="none" c="light-dark(#6d2080, var(--mantine-color-grape-2))">
            Dry run: nothing changed
          </Badge>
        )}
        <Text size="sm" c="dimmed">
          {formatDuration(response.elapsed)}
        </Text>
        {response.traceId && (
          <Group gap={4} wrap="nowrap">
            <Text size="sm" c="dimmed" className={classes.path}>
              Trace {response.traceId}
            </Text>
            <CopyButton value={response.traceId} label="Copy trace ID" />
          </Group>
        )}
      </Group>
      <Tabs defaultValue="body" keepMounted={false}>
        <Tabs.List>
          <Tabs.Tab value="body">Body</Tabs.Tab>
          <Tabs.Tab value="headers">Headers ({response.headers.length})</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="body" pt="sm">
          {response.body ? (
            <JsonEditor value={formatJson(response.body)} label="Response body" />
          ) : (
            <Text size="sm" c="dimmed">
              No response body.
            </Text>
          )}
        </Tabs.Panel>
        <Tabs.Panel value="headers" pt="sm">
          <Headers headers={response.headers} />
        </Tabs.Panel>
      </Tabs>
    </Stack>
  );
}

function Headers({ headers }: { headers: [string, string][] }) {
  return (
    <Table layout="fixed" className={classes.headers}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th w="35%">Header</Table.Th>
          <Table.Th>Value</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {headers.map(([name, value]) => (
          <Table.Tr key={name}>
            <Table.Td>{name}</Table.Td>
            <Table.Td>{value}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

/** A color for the status, with enough contrast on its light background. */
function statusColor(status: number) {
  if (status < 300) return { color: "green", c: "light-dark(#1d5c2c, var(--mantine-color-green-3))" };
  if (status < 500) return { color: "orange", c: "light-dark(#8a3a00, var(--mantine-color-orange-3))" };
  return { color: "red", c: "light-dark(#a11d1d, var(--mantine-color-red-3))" };
}
