/** Edits the roles of a person, a service account or a group. */
import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { ErrorNote } from "../../components/ErrorNote";
import { useRolesOf, useSetRoles } from "./data";
import { RoleBadge } from "./RoleList";
import { grantFault, worthShowing, type Grant } from "./roles";
import { RolesField } from "./RolesField";

export interface Principal {
  id: string;
  name: string;
}

export function RolesDialog({ principal, onClose }: { principal: Principal | null; onClose: () => void }) {
  return (
    <Modal opened={principal !== null} onClose={onClose} title={`Roles of ${principal?.name ?? ""}`} size="xl">
      {principal && <Editor key={principal.id} principal={principal} onClose={onClose} />}
    </Modal>
  );
}

function Editor({ principal, onClose }: { principal: Principal; onClose: () => void }) {
  const roles = useRolesOf(principal.id);
  if (roles.error) return <ErrorNote error={roles.error} retry={() => void roles.refetch()} />;
  if (!roles.data) return <Text c="dimmed">Loading…</Text>;
  return (
    <Form principal={principal} held={roles.data.roles} throughGroups={roles.data.group_roles} onClose={onClose} />
  );
}

interface FormProps {
  principal: Principal;
  held: Grant[];
  throughGroups: { role: Grant; group_names: string[] }[];
  onClose: () => void;
}

function Form({ principal, held, throughGroups, onClose }: FormProps) {
  const [grants, setGrants] = useState(() => worthShowing(held));
  const save = useSetRoles({ done: `The roles of ${principal.name} are saved`, onSuccess: onClose });
  const fault = grantFault(grants);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (!fault) save.mutate({ id: principal.id, grants });
      }}
    >
      <Stack>
        <Text size="sm" c="dimmed">
          Roles add up. One on a folder counts for all that lies in it, now and later.
        </Text>
        <RolesField value={grants} onChange={setGrants} />
        {throughGroups.length > 0 && (
          <Stack gap={6}>
            <Text size="sm" fw={600}>
              Besides, through groups
            </Text>
            {throughGroups.map(({ role, group_names }, index) => (
              <Group key={index} gap="xs">
                <RoleBadge grant={role} />
                <Text size="sm" c="dimmed">
                  {group_names.join(", ")}
                </Text>
              </Group>
            ))}
          </Stack>
        )}
        {save.error && <ErrorNote error={save.error} />}
        <Group justify="flex-end">
          {fault && (
            <Text size="sm" c="dimmed" role="status">
              {fault}
            </Text>
          )}
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={save.isPending} disabled={fault !== undefined}>
            Save
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
