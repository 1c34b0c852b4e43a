import { Modal, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { DialogDone, DialogForm } from "../../components/DialogForm";
import { Secret } from "../../components/Secret";
import { GENERATED, PasswordFields, passwordChoiceError, passwordOf } from "../../features/sql-users/PasswordFields";
import { SqlUserForm, type CreatedSqlUser } from "../../features/sql-users/SqlUserForm";
import { useChangePassword, useDeleteSqlUser } from "./mutations";

interface Props {
  cluster: string;
  onClose: () => void;
}

/** Creates a SQL user, then shows the generated password. */
export function CreateDialog({ cluster, onClose }: Props) {
  const [created, setCreated] = useState<CreatedSqlUser | null>(null);
  return (
    <Modal
      opened
      onClose={onClose}
      title={created ? "SQL user created" : "Create SQL user"}
      closeOnClickOutside={!created}
    >
      {created ? (
        <Result user={created} text={`${created.name} can now connect.`} onClose={onClose} />
      ) : (
        <SqlUserForm cluster={cluster} onCreated={setCreated} onCancel={onClose} />
      )}
    </Modal>
  );
}

/** Changes the password of a SQL user, then shows the generated one. */
export function PasswordDialog({ cluster, name, onClose }: Props & { name: string }) {
  const [changed, setChanged] = useState<CreatedSqlUser | null>(null);
  return (
    <Modal
      opened
      onClose={onClose}
      title={changed ? "Password changed" : `Change password of ${name}`}
      closeOnClickOutside={!changed}
    >
      {changed ? (
        <Result user={changed} text={`${name} can now connect with the new password.`} onClose={onClose} />
      ) : (
        <PasswordForm cluster={cluster} name={name} onChanged={setChanged} onClose={onClose} />
      )}
    </Modal>
  );
}

interface FormProps extends Props {
  name: string;
  onChanged: (user: CreatedSqlUser) => void;
}

function PasswordForm({ cluster, name, onChanged, onClose }: FormProps) {
  const [choice, setChoice] = useState(GENERATED);
  const [showErrors, setShowErrors] = useState(false);
  const change = useChangePassword(cluster);
  const submit = () => {
    setShowErrors(true);
    if (passwordChoiceError(choice)) return;
    const password = passwordOf(choice);
    const onSuccess = () => onChanged({ name, generatedPassword: choice.generated ? password : null });
    change.mutate({ name, password }, { onSuccess });
  };
  return (
    <DialogForm
      action={choice.generated ? "Generate & save password" : "Save password"}
      noValidate
      pending={change.isPending}
      error={change.error}
      errorTitle="Couldn't change the password"
      onSubmit={submit}
      onCancel={onClose}
    >
      <Text size="sm">The old password stops working immediately. Update the programs that use it.</Text>
      <PasswordFields choice={choice} onChange={setChoice} showErrors={showErrors} />
    </DialogForm>
  );
}

export function DeleteDialog({ cluster, name, onClose }: Props & { name: string }) {
  const remove = useDeleteSqlUser(cluster);
  return (
    <ConfirmDialog
      onClose={onClose}
      title={`Delete SQL user ${name}?`}
      action="Delete user"
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(name, { onSuccess: onClose })}
    >
      {`The sessions of ${name} are closed immediately. Objects that the user owns are reassigned to admin.`}
    </ConfirmDialog>
  );
}

interface ResultProps {
  user: CreatedSqlUser;
  text: string;
  onClose: () => void;
}

function Result({ user, text, onClose }: ResultProps) {
  return (
    <Stack>
      <Text size="sm">{text}</Text>
      {user.generatedPassword !== null && <Secret label={`Password of ${user.name}`} value={user.generatedPassword} />}
      <DialogDone onClose={onClose} autoFocus={user.generatedPassword === null} />
    </Stack>
  );
}
