import { Modal, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import type { Invitation } from "../../api/extensions";
import { DialogDone, DialogForm } from "../../components/DialogForm";
import { Secret } from "../../components/Secret";
import { useInvite } from "../../features/access/data";
import { RolesField } from "../../features/access/RolesField";
import type { Grant } from "../../features/access/roles";
import { formatDateTime } from "../../lib/format";

/** Invites a user. The server creates a one-time link, and the dialog shows it once. */
export function InviteDialog({ onClose }: { onClose: () => void }) {
  const invite = useInvite();
  return (
    <Modal opened onClose={onClose} title="Invite user" size="lg" closeOnClickOutside={!invite.data}>
      {invite.data ? (
        <InviteLink invitation={invite.data} onClose={onClose} />
      ) : (
        <InviteForm invite={invite} onClose={onClose} />
      )}
    </Modal>
  );
}

function InviteForm({ invite, onClose }: { invite: ReturnType<typeof useInvite>; onClose: () => void }) {
  const [email, setEmail] = useState("");
  const [grants, setGrants] = useState<Grant[]>([{ name: "CLUSTER_DEVELOPER", resource: { type: "ORGANIZATION" } }]);
  const submit = () => invite.mutate({ email: email.trim(), roles: [...new Set(grants.map((grant) => grant.name))] });
  return (
    <DialogForm
      action="Create invite link"
      pending={invite.isPending}
      error={invite.error}
      errorTitle="Couldn't create the invite link"
      onSubmit={submit}
      onCancel={onClose}
    >
      <TextInput
        label="Email address"
        description="The server doesn't send email. Share the invite link with the user yourself."
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
        <RolesField
          value={grants}
          onChange={setGrants}
          organizationOnly
          empty="Without roles, the user can sign in but can't see any clusters."
        />
      </div>
      <Text size="sm" c="dimmed">
        You can add roles on folders and clusters after you create the invite link.
      </Text>
    </DialogForm>
  );
}

/** A new invite link, shown once. */
export function InviteLink({ invitation, onClose }: { invitation: Invitation; onClose: () => void }) {
  return (
    <Stack>
      <Secret
        label={`Invite link for ${invitation.email}`}
        value={invitation.link ?? ""}
        note={`Share this link with ${invitation.email} only. It won't be shown again.`}
      />
      <Text size="sm" c="dimmed">
        The link signs in {invitation.email} once and asks for a new password. It expires on{" "}
        {formatDateTime(invitation.expires_at)}.
      </Text>
      <DialogDone onClose={onClose} />
    </Stack>
  );
}
