import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { useState, type ReactNode } from "react";
import { Confirm } from "../../components/Confirm";
import { ErrorNote } from "../../components/ErrorNote";
import { GENERATED, NewPassword, passwordOf, wishProblem } from "../../components/NewPassword";
import { SecretOnce } from "../../components/SecretOnce";
import { SqlUserForm, type NewSqlUser } from "../../components/SqlUserForm";
import { useChangePassword, useDeleteSqlUser } from "./changes";

interface Props {
  cluster: string;
  onClose: () => void;
}

/** Adds a user, then shows the password that was made. */
export function AddUser({ cluster, onClose }: Props) {
  const [made, setMade] = useState<NewSqlUser | null>(null);
  return (
    <Modal opened onClose={onClose} title={made ? "SQL user created" : "Add a SQL user"} closeOnClickOutside={!made}>
      {made ? (
        <Made user={made} onClose={onClose} text={`${made.name} can log in now.`} />
      ) : (
        <SqlUserForm cluster={cluster} onCreated={setMade} onCancel={onClose} />
      )}
    </Modal>
  );
}

/** Gives a user another password; the old one stops working at once. */
export function ChangePassword({ cluster, name, onClose }: Props & { name: string }) {
  const [made, setMade] = useState<NewSqlUser | null>(null);
  const [wish, setWish] = useState(GENERATED);
  const [strict, setStrict] = useState(false);
  const change = useChangePassword(cluster);
  const submit = () => {
    setStrict(true);
    if (wishProblem(wish) || change.isPending) return;
    const password = passwordOf(wish);
    change.mutate({ name, password }, { onSuccess: () => setMade({ name, generated: wish.own ? null : password }) });
  };
  return (
    <Modal
      opened
      onClose={onClose}
      title={made ? "Password changed" : `Change the password of ${name}`}
      closeOnClickOutside={!made}
    >
      {made ? (
        <Made user={made} onClose={onClose} text={`${name} logs in with the new password from now on.`} />
      ) : (
        <form
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            submit();
          }}
        >
          <Stack>
            <Text size="sm">Programs that log in with the old password fail until they have the new one.</Text>
            <NewPassword wish={wish} onChange={setWish} strict={strict} />
            {change.error && <ErrorNote title="The password was not changed" error={change.error} />}
            <Group justify="flex-end">
              <Button variant="default" onClick={onClose}>
                Cancel
              </Button>
              <Button type="submit" loading={change.isPending}>
                {wish.own ? "Save password" : "Generate & save password"}
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </Modal>
  );
}

export function DeleteUser({ cluster, name, onClose }: Props & { name: string }) {
  const remove = useDeleteSqlUser(cluster);
  return (
    <Confirm
      opened
      onClose={onClose}
      title={`Delete SQL user ${name}?`}
      action="Delete user"
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(name, { onSuccess: onClose })}
    >
      {`The sessions of ${name} end at once. What the user owns in the databases stays and goes to admin.`}
    </Confirm>
  );
}

function Made({ user, text, onClose }: { user: NewSqlUser; text: ReactNode; onClose: () => void }) {
  return (
    <Stack>
      <Text size="sm">{text}</Text>
      {user.generated !== null && <SecretOnce label={`Password of ${user.name}`} value={user.generated} />}
      <Group justify="flex-end">
        <Button onClick={onClose} data-autofocus={user.generated === null || undefined}>
          Done
        </Button>
      </Group>
    </Stack>
  );
}
