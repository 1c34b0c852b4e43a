import { Button, Group, Modal, PasswordInput, Stack, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { changePassword, type Whoami } from "../api/extensions";
import { keys, queryClient, useSession } from "../api/queries";
import { ErrorNote } from "../components/ErrorNote";
import { useChange } from "./mutation";

export function PasswordDialog({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const whoami = useSession();
  const form = useForm({ mode: "uncontrolled", initialValues: { old_password: "", new_password: "" } });
  const change = useChange<Whoami, { old_password: string; new_password: string }>({
    mutationFn: (wish) => changePassword(whoami?.user.has_password ? wish : { new_password: wish.new_password }),
    done: "Your password is changed; your other sessions have ended",
    failed: null,
    onSuccess: (answer) => {
      queryClient.setQueryData(keys.session, answer);
      close();
    },
  });
  const close = () => {
    form.reset();
    change.reset();
    onClose();
  };
  return (
    <Modal opened={opened} onClose={close} title={whoami?.user.has_password ? "Change password" : "Choose a password"}>
      <form onSubmit={form.onSubmit((wish) => change.mutate(wish))}>
        <Stack>
          {whoami?.user.has_password && (
            <PasswordInput
              label="Present password"
              autoComplete="current-password"
              required
              key={form.key("old_password")}
              {...form.getInputProps("old_password")}
            />
          )}
          <PasswordInput
            label="New password"
            autoComplete="new-password"
            required
            key={form.key("new_password")}
            {...form.getInputProps("new_password")}
          />
          <Text size="sm" c="dimmed">
            You are signed out everywhere else.
          </Text>
          {change.error && <ErrorNote error={change.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button type="submit" loading={change.isPending}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
