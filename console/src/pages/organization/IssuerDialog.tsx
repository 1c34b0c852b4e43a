import { ActionIcon, Button, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { FormDialog } from "../../components/DialogForm";
import { useAddIssuer } from "./data";
import classes from "./organization.module.css";

type Mapping = { token_identity: string; cc_identity: string };

const EMPTY: Mapping = { token_identity: "", cc_identity: "" };

/** Adds a JWT issuer. */
export function IssuerDialog({ onClose }: { onClose: () => void }) {
  const [fields, setFields] = useState({ issuer_url: "", audience: "", claim: "", jwks: "" });
  const [mappings, setMappings] = useState<Mapping[]>([EMPTY]);
  const add = useAddIssuer(onClose);
  const field = (name: keyof typeof fields) => ({
    value: fields[name],
    onChange: (event: { currentTarget: { value: string } }) => {
      const { value } = event.currentTarget;
      setFields((previous) => ({ ...previous, [name]: value }));
    },
  });
  const submit = () =>
    add.mutate({
      issuer_url: fields.issuer_url.trim(),
      audience: fields.audience.trim(),
      claim: fields.claim.trim() || undefined,
      jwks: fields.jwks.trim() || undefined,
      identity_map: mappings.filter((mapping) => mapping.token_identity.trim() && mapping.cc_identity.trim()),
    });
  return (
    <FormDialog
      title="Add JWT issuer"
      size="lg"
      action="Add issuer"
      pending={add.isPending}
      error={add.error}
      errorTitle="Couldn't add the issuer"
      onSubmit={submit}
      onClose={onClose}
    >
      <TextInput
        label="Issuer URL"
        description="The iss claim of the tokens. Use an https:// URL."
        placeholder="https://accounts.example.com"
        required
        data-autofocus
        {...field("issuer_url")}
      />
      <TextInput label="Audience" description="The required aud claim of the tokens." required {...field("audience")} />
      <TextInput
        label="Claim"
        description="The claim that identifies the caller. The default is sub."
        placeholder="sub"
        {...field("claim")}
      />
      <Textarea
        label="Public keys"
        description="A JSON Web Key Set. If you leave this blank, the server fetches the keys from the issuer."
        autosize
        minRows={2}
        maxRows={8}
        {...field("jwks")}
      />
      <IdentityMap mappings={mappings} onChange={setMappings} />
    </FormDialog>
  );
}

interface IdentityMapProps {
  mappings: Mapping[];
  onChange: (mappings: Mapping[]) => void;
}

function IdentityMap({ mappings, onChange }: IdentityMapProps) {
  return (
    <Stack gap="xs" role="group" aria-label="Identity map">
      <div>
        <Text size="sm" fw={500}>
          Identity map
        </Text>
        <Text size="xs" c="dimmed">
          Maps an identity in a token, or a regular expression such as <code>/^ci-(.*)$/</code>, to the email address of
          a user or the ID of a service account. <code>\1</code> stands for the first group of the match.
        </Text>
      </div>
      {mappings.map((mapping, index) => (
        <div key={index} className={classes.mapping}>
          <TextInput
            aria-label={`Token identity ${index + 1}`}
            placeholder="Token identity"
            value={mapping.token_identity}
            onChange={(event) =>
              onChange(mappings.with(index, { ...mapping, token_identity: event.currentTarget.value }))
            }
          />
          <TextInput
            aria-label={`User or service account ${index + 1}`}
            placeholder="User or service account"
            value={mapping.cc_identity}
            onChange={(event) => onChange(mappings.with(index, { ...mapping, cc_identity: event.currentTarget.value }))}
          />
          <ActionIcon
            variant="subtle"
            color="gray"
            size="lg"
            aria-label={`Remove mapping ${index + 1}`}
            onClick={() => onChange(mappings.toSpliced(index, 1))}
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
          onClick={() => onChange([...mappings, EMPTY])}
        >
          Add mapping
        </Button>
      </div>
    </Stack>
  );
}
