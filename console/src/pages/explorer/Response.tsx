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
        <Badge {...look(answer.status)} variant="light" tt="none" role="status">
          {answer.status} {answer.statusText}
        </Badge>
        {answer.dryRun && answer.status < 300 && (
          <Badge color="grape" variant="light" tt="none" c="light-dark(#6d2080, var(--mantine-color-grape-2))">
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

/** Green, orange or red, with a text that is read easily on its light ground. */
function look(status: number) {
  if (status < 300) return { color: "green", c: "light-dark(#1d5c2c, var(--mantine-color-green-3))" };
  if (status < 500) return { color: "orange", c: "light-dark(#8a3a00, var(--mantine-color-orange-3))" };
  return { color: "red", c: "light-dark(#a11d1d, var(--mantine-color-red-3))" };
}
