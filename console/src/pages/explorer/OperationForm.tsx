/** One operation: its parameters, its body, the send button, and the response. */
import { Alert, Anchor, Badge, Button, Group, Stack, Switch, Text, Title } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconInfoCircle, IconSend, IconTerminal2 } from "@tabler/icons-react";
import { useId, useState, type FormEvent } from "react";
import { CodeBlock } from "../../components/CodeBlock";
import { CopyButton } from "../../components/CopyButton";
import { ErrorAlert } from "../../components/ErrorAlert";
import { JsonEditor } from "../../components/JsonEditor";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import type { Document, Operation } from "./document";
import classes from "./explorer.module.css";
import { Method } from "./Method";
import { Parameters } from "./Parameters";
import { curl, jsonError, missing, prepare, supportsDryRun, type Draft } from "./request";
import { Response } from "./Response";
import { useSend } from "./send";
import { exampleBody } from "./example";

export function OperationForm({ document, operation }: { document: Document; operation: Operation }) {
  const [draft, setDraft] = useState<Draft>(() => ({
    values: {},
    body: exampleBody(document, operation),
    dryRun: false,
  }));
  const [attempted, setAttempted] = useState(false);
  const [confirming, setConfirming] = useState(false);
  const send = useSend();
  const missingNames = missing(operation, draft);
  const bodyError = operation.body && jsonError(draft.body);
  const prepared = prepare(operation, draft);
  const dryRun = draft.dryRun && supportsDryRun(operation);
  const destroys = operation.method === "DELETE" && !dryRun;

  const submit = (event: FormEvent) => {
    event.preventDefault();
    setAttempted(true);
    if (missingNames.length > 0 || bodyError) return;
    if (destroys) setConfirming(true);
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
            missing={attempted ? missingNames : []}
            onChange={(name, value) => setDraft({ ...draft, values: { ...draft.values, [name]: value } })}
          />
          {operation.body && (
            <Body
              text={draft.body}
              error={bodyError || undefined}
              onChange={(body) => setDraft((draft) => ({ ...draft, body }))}
              onReset={() => setDraft((draft) => ({ ...draft, body: exampleBody(document, operation) }))}
            />
          )}
          <Group gap="lg">
            <Button
              type="submit"
              loading={send.isPending}
              color={destroys ? "red.8" : undefined}
              leftSection={<IconSend size={16} aria-hidden />}
            >
              {dryRun ? "Send as dry run" : "Send"}
            </Button>
            {supportsDryRun(operation) && (
              <Switch
                label="Dry run"
                description="Check the request without changing anything"
                checked={draft.dryRun}
                onChange={(event) => setDraft({ ...draft, dryRun: event.currentTarget.checked })}
              />
            )}
          </Group>
        </Stack>
      </form>
      <CurlCommand text={curl(prepared, location.origin)} />
      {send.error && <ErrorAlert title="Couldn't send the request" error={send.error} />}
      {send.data && <Response response={send.data} />}
      {confirming && (
        <ConfirmDialog
          onClose={() => setConfirming(false)}
          title={`${operation.summary}?`}
          action="Send"
          onConfirm={() => {
            setConfirming(false);
            send.mutate(prepared);
          }}
        >
          {`This sends DELETE ${prepared.path}. To check the request without deleting anything, cancel and turn on Dry run.`}
        </ConfirmDialog>
      )}
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
        <CopyButton value={operation.path} label="Copy path" />
      </Group>
      <Text size="sm" c="dimmed">
        {operation.description} <span className={classes.headers}>{operation.id}</span>
      </Text>
      {operation.unimplemented && (
        <Alert icon={<IconInfoCircle />} color="gray" variant="light" title="Not implemented">
          This server responds to this operation with 501 Not Implemented.
        </Alert>
      )}
    </Stack>
  );
}

interface BodyProps {
  text: string;
  error?: string;
  onChange: (text: string) => void;
  onReset: () => void;
}

function Body({ text, error, onChange, onReset }: BodyProps) {
  const id = useId();
  return (
    <Stack gap={6}>
      <Group justify="space-between">
        <Title order={3} size="h3">
          Body
        </Title>
        <Anchor component="button" type="button" size="sm" onClick={onReset}>
          Reset to example
        </Anchor>
      </Group>
      <Text size="xs" c="dimmed">
        The example contains every field. Remove the fields that you don't want to set.
      </Text>
      <JsonEditor value={text} onChange={onChange} label="Request body (JSON)" minHeight={140} />
      {error && (
        <Text id={id} size="sm" c="red" role="alert">
          Invalid JSON: {error}
        </Text>
      )}
    </Stack>
  );
}

function CurlCommand({ text }: { text: string }) {
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
          Show curl command
        </Button>
      </div>
      {open && <CodeBlock code={text} label="curl command" />}
    </Stack>
  );
}
