/** Invites somebody: the server makes a link that works once, and shows it once. */
import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import type { Invitation } from "../../api/extensions";
import { ErrorNote } from "../../components/ErrorNote";
import { SecretOnce } from "../../components/SecretOnce";
import { moment } from "../../components/time";
import { useInvite } from "./data";
import type { Grant } from "./roles";
import { RolesField } from "./RolesField";

export function InviteDialog({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <Modal opened={opened} onClose={onClose} title="Invite a person" size="lg">
      {opened && <Form onClose={onClose} />}
    </Modal>
  );
}

function Form({ onClose }: { onClose: () => void }) {
  const [email, setEmail] = useState("");
  const [grants, setGrants] = useState<Grant[]>([{ name: "CLUSTER_DEVELOPER", resource: { type: "ORGANIZATION" } }]);
  const invite = useInvite();
  if (invite.data) return <InvitationLink invitation={invite.data} onClose={onClose} />;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        invite.mutate({ email: email.trim(), roles: [...new Set(grants.map((grant) => grant.name))] });
      }}
    >
      <Stack>
        <TextInput
          label="E-mail address"
          description="It is the name to sign in with. The server sends no mail: you hand over the link."
          type="email"
          required
          data-autofocus
          autoComplete="off"
          value={email}
          onChange={(event) => setEmail(event.currentTarget.value)}
        />
        <div>
          <Text size="sm" fw={500} mb={6}>
            Roles on the organization
          </Text>
          <RolesField value={grants} onChange={setGrants} organizationOnly />
        </div>
        <Text size="sm" c="dimmed">
          Roles on folders and clusters can be given once the invitation is made.
        </Text>
        {invite.error && <ErrorNote error={invite.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={invite.isPending}>
            Make the link
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

export function InvitationLink({ invitation, onClose }: { invitation: Invitation; onClose: () => void }) {
  return (
    <Stack>
      <SecretOnce label={`Link for ${invitation.email}`} value={invitation.link ?? ""} />
      <Text size="sm" c="dimmed">
        Who opens it comes in as {invitation.email} and chooses a password. It works once, until{" "}
        {moment(invitation.expires_at)}.
      </Text>
      <Group justify="flex-end">
        <Button onClick={onClose}>Done</Button>
      </Group>
    </Stack>
  );
}
