/** One operation: what it needs, the button that sends it, and what came back. */
import { Alert, Anchor, Badge, Button, Group, Stack, Switch, Text, Title } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconInfoCircle, IconSend, IconTerminal2 } from "@tabler/icons-react";
import { useId, useState, type FormEvent } from "react";
import { CodeBlock } from "../../components/CodeBlock";
import { Copy } from "../../components/Copy";
import { ErrorNote } from "../../components/ErrorNote";
import { Json } from "../../components/Json";
import { Confirm } from "../../components/Confirm";
import type { Document, Operation } from "./document";
import classes from "./explorer.module.css";
import { Method } from "./Method";
import { Parameters } from "./Parameters";
import { canRehearse, curl, fault, missing, prepare, type Draft } from "./request";
import { Response } from "./Response";
import { useSend } from "./send";
import { bodyText } from "./skeleton";

export function OperationForm({ document, operation }: { document: Document; operation: Operation }) {
  const [draft, setDraft] = useState<Draft>(() => ({
    values: {},
    body: bodyText(document, operation),
    dryRun: false,
  }));
  const [attempted, setAttempted] = useState(false);
  const [asking, setAsking] = useState(false);
  const send = useSend();
  const empty = missing(operation, draft);
  const broken = operation.body && fault(draft.body);
  const prepared = prepare(operation, draft);
  const rehearsal = draft.dryRun && canRehearse(operation);
  const destroys = operation.method === "DELETE" && !rehearsal;

  const submit = (event: FormEvent) => {
    event.preventDefault();
    setAttempted(true);
    if (empty.length > 0 || broken) return;
    if (destroys) setAsking(true);
    else send.mutate(prepared);
  };

  return (
    <Stack gap="lg">
      <Heading operation={operation} />
      <form onSubmit={submit} noValidate>
        <Stack gap="lg">
          <Parameters
            operation={operation}
            values={draft.values}
            missing={attempted ? empty : []}
            onChange={(name, value) => setDraft({ ...draft, values: { ...draft.values, [name]: value } })}
          />
          {operation.body && (
            <Body
              text={draft.body}
              fault={broken || undefined}
              onChange={(body) => setDraft((draft) => ({ ...draft, body }))}
              onReset={() => setDraft((draft) => ({ ...draft, body: bodyText(document, operation) }))}
            />
          )}
          <Group gap="lg">
            <Button
              type="submit"
              loading={send.isPending}
              color={destroys ? "red.8" : undefined}
              leftSection={<IconSend size={16} aria-hidden />}
            >
              {rehearsal ? "Send as dry run" : "Send"}
            </Button>
            {canRehearse(operation) && (
              <Switch
                label="Dry run"
                description="Everything but the change"
                checked={draft.dryRun}
                onChange={(event) => setDraft({ ...draft, dryRun: event.currentTarget.checked })}
              />
            )}
          </Group>
        </Stack>
      </form>
      <AsCurl text={curl(prepared, location.origin)} />
      {send.error && <ErrorNote error={send.error} />}
      {send.data && <Response answer={send.data} />}
      <Confirm
        opened={asking}
        onClose={() => setAsking(false)}
        title={`${operation.summary}?`}
        action="Send"
        onConfirm={() => {
          setAsking(false);
          send.mutate(prepared);
        }}
      >
        {`This sends DELETE ${prepared.path} for real. Cancel and switch on the dry run to only see what would happen.`}
      </Confirm>
    </Stack>
  );
}

function Heading({ operation }: { operation: Operation }) {
  return (
    <Stack gap="xs">
      <Group gap="sm">
        <Title order={2} fz={18}>
          {operation.summary}
        </Title>
        {operation.deprecated && (
          <Badge variant="light" color="orange">
            Deprecated
          </Badge>
        )}
      </Group>
      <Group gap="xs" wrap="nowrap" align="center">
        <Method name={operation.method} />
        <span className={classes.path}>{operation.path}</span>
        <Copy value={operation.path} label="Copy path" />
      </Group>
      <Text size="sm" c="dimmed">
        {operation.description} <span className={classes.headers}>{operation.id}</span>
      </Text>
      {operation.unimplemented && (
        <Alert icon={<IconInfoCircle />} color="gray" variant="light" title="Not built yet">
          This server knows the operation and answers it with 501. You can still send it.
        </Alert>
      )}
    </Stack>
  );
}

interface BodyProps {
  text: string;
  fault?: string;
  onChange: (text: string) => void;
  onReset: () => void;
}

function Body({ text, fault, onChange, onReset }: BodyProps) {
  const id = useId();
  return (
    <Stack gap={6}>
      <Group justify="space-between">
        <Title order={3} size="h3">
          Body
        </Title>
        <Anchor component="button" type="button" size="sm" onClick={onReset}>
          Start again from the example
        </Anchor>
      </Group>
      <Text size="xs" c="dimmed">
        An example with every member. Remove what you do not want to set.
      </Text>
      <Json value={text} onChange={onChange} label="Body of the request, JSON" minHeight={140} />
      {fault && (
        <Text id={id} size="sm" c="red" role="alert">
          This is not JSON yet: {fault}
        </Text>
      )}
    </Stack>
  );
}

function AsCurl({ text }: { text: string }) {
  const [open, { toggle }] = useDisclosure(false);
  return (
    <Stack gap="xs" align="stretch">
      <div>
        <Button
          variant="default"
          size="xs"
          leftSection={<IconTerminal2 size={16} aria-hidden />}
          aria-expanded={open}
          onClick={toggle}
        >
          As curl
        </Button>
      </div>
      {open && <CodeBlock code={text} label="Request as a curl command" />}
    </Stack>
  );
}
