import { PasswordInput, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { changePassword, type Session } from "../../api/extensions";
import { keys, queryClient, useSession } from "../../api/queries";
import { PASSWORD_RULE, passwordError } from "../../api/validation";
import { FormDialog } from "../../components/DialogForm";
import { useNotifiedMutation } from "../../components/useNotifiedMutation";

interface Passwords {
  old_password: string;
  new_password: string;
}

/** Sets or changes the password of the signed-in user. */
export function PasswordDialog({ onClose }: { onClose: () => void }) {
  const hasPassword = useSession()?.user.has_password ?? false;
  const form = useForm<Passwords>({
    mode: "uncontrolled",
    initialValues: { old_password: "", new_password: "" },
    validate: { new_password: passwordError },
  });
  const change = useNotifiedMutation<Session, Passwords>({
    mutationFn: (passwords) => changePassword(hasPassword ? passwords : { new_password: passwords.new_password }),
    successMessage: hasPassword ? "Password changed" : "Password set",
    errorTitle: null,
    onSuccess: (session) => {
      queryClient.setQueryData(keys.session, session);
      onClose();
    },
  });
  return (
    <FormDialog
      title={hasPassword ? "Change password" : "Set a password"}
      action="Save"
      pending={change.isPending}
      error={change.error}
      errorTitle={hasPassword ? "Couldn't change the password" : "Couldn't set the password"}
      onSubmit={form.onSubmit((passwords) => change.mutate(passwords))}
      onClose={onClose}
    >
      {hasPassword && (
        <PasswordInput
          label="Current password"
          autoComplete="current-password"
          required
          key={form.key("old_password")}
          {...form.getInputProps("old_password")}
        />
      )}
      <PasswordInput
        label="New password"
        description={form.errors.new_password ? undefined : PASSWORD_RULE}
        autoComplete="new-password"
        required
        key={form.key("new_password")}
        {...form.getInputProps("new_password")}
      />
      <Text size="sm" c="dimmed">
        You will be signed out of your other sessions.
      </Text>
    </FormDialog>
  );
}
