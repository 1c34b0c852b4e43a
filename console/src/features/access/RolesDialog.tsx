import { Group, Modal, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { DialogForm } from "../../components/DialogForm";
import { ErrorAlert } from "../../components/ErrorAlert";
import { useRolesOf, useSetRoles } from "./data";
import { RoleBadge } from "./RoleList";
import { RolesField } from "./RolesField";
import { grantsError, withoutMember, type Grant } from "./roles";

export interface Principal {
  id: string;
  name: string;
  /** What a principal without roles can do. */
  withoutRoles: string;
}

interface Props {
  principal: Principal;
  onClose: () => void;
}

/** Edits the roles of a user, a service account, or a group. */
export function RolesDialog({ principal, onClose }: Props) {
  const roles = useRolesOf(principal.id);
  return (
    <Modal opened onClose={onClose} title={`Edit roles of ${principal.name}`} size="xl">
      {roles.error ? (
        <ErrorAlert title="Couldn't load the roles" error={roles.error} retry={() => void roles.refetch()} />
      ) : roles.data ? (
        <Form principal={principal} current={roles.data.roles} inherited={roles.data.group_roles} onClose={onClose} />
      ) : (
        <Text c="dimmed">Loading…</Text>
      )}
    </Modal>
  );
}

interface FormProps extends Props {
  current: Grant[];
  inherited: { role: Grant; group_names: string[] }[];
}

function Form({ principal, current, inherited, onClose }: FormProps) {
  const [grants, setGrants] = useState(() => withoutMember(current));
  const save = useSetRoles({ successMessage: "Roles updated", onSuccess: onClose });
  return (
    <DialogForm
      action="Save"
      disabled={grantsError(grants)}
      pending={save.isPending}
      error={save.error}
      errorTitle="Couldn't update the roles"
      onSubmit={() => save.mutate({ id: principal.id, grants })}
      onCancel={onClose}
    >
      <Text size="sm" c="dimmed">
        Roles are additive. A role on a folder applies to everything in it, including what is added later.
      </Text>
      <RolesField value={grants} onChange={setGrants} empty={principal.withoutRoles} />
      {inherited.length > 0 && (
        <Stack gap={6}>
          <Text size="sm" fw={600}>
            Inherited from groups
          </Text>
          {inherited.map(({ role, group_names }, index) => (
            <Group key={index} gap="xs">
              <RoleBadge grant={role} />
              <Text size="sm" c="dimmed">
                {group_names.join(", ")}
              </Text>
            </Group>
          ))}
        </Stack>
      )}
    </DialogForm>
  );
}
