import { Text, Textarea, TextInput } from "@mantine/core";
import { useState } from "react";
import { FormDialog } from "../../components/DialogForm";
import { useCreateAccount, useUpdateAccount, type ServiceAccount } from "./data";
import { RolesField } from "./RolesField";
import { grantsError, type Grant } from "./roles";

interface Props {
  onClose: () => void;
  /** The account to edit. Without it, the dialog creates one. */
  account?: ServiceAccount;
  onSuccess?: (account: ServiceAccount) => void;
}

/** Creates a service account, or edits its name and description. */
export function ServiceAccountDialog({ account, onClose, onSuccess }: Props) {
  const [name, setName] = useState(account?.name ?? "");
  const [description, setDescription] = useState(account?.description ?? "");
  const [grants, setGrants] = useState<Grant[]>([]);
  const finish = (result: ServiceAccount) => {
    onClose();
    onSuccess?.(result);
  };
  const create = useCreateAccount({ successMessage: "Service account created", onSuccess: finish });
  const update = useUpdateAccount({ successMessage: "Service account updated", onSuccess: finish });
  const submit = () => {
    const fields = { name: name.trim(), description };
    if (account) update.mutate({ id: account.id, ...fields });
    else create.mutate({ ...fields, roles: grants });
  };
  return (
    <FormDialog
      title={account ? "Edit service account" : "Create service account"}
      size="xl"
      action={account ? "Save" : "Create service account"}
      disabled={grantsError(grants)}
      pending={create.isPending || update.isPending}
      error={create.error ?? update.error}
      errorTitle={account ? "Couldn't update the service account" : "Couldn't create the service account"}
      onSubmit={submit}
      onClose={onClose}
    >
      <TextInput
        label="Name"
        required
        maxLength={255}
        data-autofocus
        autoComplete="off"
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <Textarea
        label="Description"
        placeholder="What the account is used for"
        maxLength={1024}
        autosize
        minRows={2}
        value={description}
        onChange={(event) => setDescription(event.currentTarget.value)}
      />
      {!account && (
        <div>
          <Text size="sm" fw={500} mb={6}>
            Roles
          </Text>
          <RolesField
            value={grants}
            onChange={setGrants}
            empty="Without roles, the account can't access any clusters."
          />
        </div>
      )}
    </FormDialog>
  );
}
