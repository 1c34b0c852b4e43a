/** Adds an issuer whose tokens are accepted beside API keys. */
import { ActionIcon, Button, Group, Modal, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { ErrorNote } from "../../components/ErrorNote";
import { useAddIssuer } from "./data";
import classes from "./organization.module.css";

type Line = { token_identity: string; cc_identity: string };

const EMPTY: Line = { token_identity: "", cc_identity: "" };

/** Mounted while it is open. */
export function IssuerDialog({ onClose }: { onClose: () => void }) {
  const [fields, setFields] = useState({ issuer_url: "", audience: "", claim: "", jwks: "" });
  const [map, setMap] = useState<Line[]>([EMPTY]);
  const add = useAddIssuer(onClose);
  const field = (name: keyof typeof fields) => ({
    value: fields[name],
    onChange: (event: { currentTarget: { value: string } }) => {
      const { value } = event.currentTarget;
      setFields((before) => ({ ...before, [name]: value }));
    },
  });
  const submit = () =>
    add.mutate({
      issuer_url: fields.issuer_url.trim(),
      audience: fields.audience.trim(),
      claim: fields.claim.trim() || undefined,
      jwks: fields.jwks.trim() || undefined,
      identity_map: map.filter((line) => line.token_identity.trim() && line.cc_identity.trim()),
    });
  return (
    <Modal opened onClose={onClose} title="Add a JWT issuer" size="lg">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <Stack>
          <TextInput
            label="Issuer"
            description="The iss of its tokens, an https address"
            placeholder="https://accounts.example.com"
            required
            data-autofocus
            {...field("issuer_url")}
          />
          <TextInput label="Audience" description="The aud that its tokens must hold" required {...field("audience")} />
          <TextInput
            label="Claim"
            description="The claim that names the caller"
            placeholder="sub"
            {...field("claim")}
          />
          <Textarea
            label="Public keys"
            description="A JSON Web Key Set; where it is left out, the server fetches it from the issuer"
            autosize
            minRows={2}
            maxRows={8}
            {...field("jwks")}
          />
          <Identities lines={map} onChange={setMap} />
          {add.error && <ErrorNote error={add.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={add.isPending}>
              Add issuer
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

function Identities({ lines, onChange }: { lines: Line[]; onChange: (lines: Line[]) => void }) {
  return (
    <Stack gap="xs" role="group" aria-label="Identities">
      <div>
        <Text size="sm" fw={500}>
          Identities
        </Text>
        <Text size="xs" c="dimmed">
          From the identity in a token, or an expression such as <code>/^ci-(.*)$/</code>, to an e-mail address or the
          id of a service account; <code>\1</code> is what the expression matched.
        </Text>
      </div>
      {lines.map((line, index) => (
        <div key={index} className={classes.line}>
          <TextInput
            aria-label={`Identity in the token, line ${index + 1}`}
            placeholder="In the token"
            value={line.token_identity}
            onChange={(event) => onChange(lines.with(index, { ...line, token_identity: event.currentTarget.value }))}
          />
          <TextInput
            aria-label={`Identity here, line ${index + 1}`}
            placeholder="Here"
            value={line.cc_identity}
            onChange={(event) => onChange(lines.with(index, { ...line, cc_identity: event.currentTarget.value }))}
          />
          <ActionIcon
            variant="subtle"
            color="gray"
            size="lg"
            aria-label={`Remove line ${index + 1}`}
            onClick={() => onChange(lines.toSpliced(index, 1))}
          >
            <IconTrash size={16} aria-hidden />
          </ActionIcon>
        </div>
      ))}
      <div>
        <Button
          size="xs"
          variant="default"
          leftSection={<IconPlus size={14} aria-hidden />}
          onClick={() => onChange([...lines, EMPTY])}
        >
          Add a line
        </Button>
      </div>
    </Stack>
  );
}
