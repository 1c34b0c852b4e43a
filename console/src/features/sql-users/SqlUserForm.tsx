import { TextInput } from "@mantine/core";
import { useState } from "react";
import { api, unwrap } from "../../api/client";
import { keys } from "../../api/queries";
import { SQL_NAME_RULE, sqlUserNameError } from "../../api/validation";
import { DialogForm } from "../../components/DialogForm";
import { useNotifiedMutation } from "../../components/useNotifiedMutation";
import { withRule } from "../../components/withRule";
import { GENERATED, PasswordFields, passwordChoiceError, passwordOf } from "./PasswordFields";

/** A SQL user that was just created. A generated password is kept so that it can be shown once. */
export interface CreatedSqlUser {
  name: string;
  generatedPassword: string | null;
}

interface Props {
  cluster: string;
  onCreated: (user: CreatedSqlUser) => void;
  onCancel: () => void;
}

function useCreateSqlUser(cluster: string) {
  return useNotifiedMutation({
    mutationFn: (body: { name: string; password: string }) =>
      unwrap(api.POST("/api/v1/clusters/{cluster_id}/sql-users", { params: { path: { cluster_id: cluster } }, body })),
    invalidates: [keys.sqlUsers(cluster)],
    errorTitle: null,
  });
}

/** Creates a SQL user. */
export function SqlUserForm({ cluster, onCreated, onCancel }: Props) {
  const [name, setName] = useState("");
  const [choice, setChoice] = useState(GENERATED);
  const [showErrors, setShowErrors] = useState(false);
  const create = useCreateSqlUser(cluster);
  const submit = () => {
    setShowErrors(true);
    if (sqlUserNameError(name) || passwordChoiceError(choice)) return;
    const password = passwordOf(choice);
    create.mutate(
      { name, password },
      { onSuccess: (user) => onCreated({ name: user.name, generatedPassword: choice.generated ? password : null }) },
    );
  };
  return (
    <DialogForm
      action={choice.generated ? "Generate & save password" : "Create user"}
      pending={create.isPending}
      error={create.error}
      errorTitle="Couldn't create the SQL user"
      noValidate
      onSubmit={submit}
      onCancel={onCancel}
    >
      <TextInput
        label="User name"

        placeholder="maxroach"
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        {...withRule(SQL_NAME_RULE, showErrors ? sqlUserNameError(name) : null)}
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        data-autofocus
      />
      <PasswordFields choice={choice} onChange={setChoice} showErrors={showErrors} />
    </DialogForm>
  );
}
