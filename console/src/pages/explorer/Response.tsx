/** What the server answered: status, time, trace id, headers and body. */
import { Badge, Group, Stack, Table, Tabs, Text, Title } from "@mantine/core";
import { Copy } from "../../components/Copy";
import { Json, pretty } from "../../components/Json";
import classes from "./explorer.module.css";
import type { Answer } from "./send";

export function Response({ answer }: { answer: Answer }) {
  return (
    <Stack component="section" gap="sm" aria-labelledby="explorer-response">
      <Group gap="sm">
        <Title order={3} size="h3" id="explorer-response">
          Response
        </Title>
        <Badge color={colour(answer.status)} variant="light" role="status">
          {answer.status} {answer.statusText}
        </Badge>
        {answer.dryRun && answer.status < 300 && (
          <Badge color="grape" variant="light">
            Dry run: nothing was changed
          </Badge>
        )}
        <Text size="sm" c="dimmed">
          {Math.round(answer.elapsed)} ms
        </Text>
        {answer.traceId && (
          <Group gap={4} wrap="nowrap">
            <Text size="sm" c="dimmed" className={classes.path}>
              Trace {answer.traceId}
            </Text>
            <Copy value={answer.traceId} label="Copy trace id" />
          </Group>
        )}
      </Group>
      <Tabs defaultValue="body" keepMounted={false}>
        <Tabs.List>
          <Tabs.Tab value="body">Body</Tabs.Tab>
          <Tabs.Tab value="headers">Headers ({answer.headers.length})</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="body" pt="sm">
          {answer.body ? (
            <Json value={pretty(answer.body)} label="Body of the response" />
          ) : (
            <Text size="sm" c="dimmed">
              The body is empty.
            </Text>
          )}
        </Tabs.Panel>
        <Tabs.Panel value="headers" pt="sm">
          <Headers headers={answer.headers} />
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

const colour = (status: number) => (status < 300 ? "green" : status < 500 ? "orange" : "red");
