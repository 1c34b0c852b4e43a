import { Button, Group, Stack, TextInput } from "@mantine/core";
import { useState } from "react";
import { useCreateSqlUser } from "../api/inside";
import { sqlUserProblem } from "../api/names";
import { ErrorNote } from "./ErrorNote";
import { GENERATED, NewPassword, passwordOf, wishProblem } from "./NewPassword";

/** A user that was just made. The password is there only if it was generated, to be shown once. */
export interface NewSqlUser {
  name: string;
  generated: string | null;
}

interface Props {
  cluster: string;
  onCreated: (user: NewSqlUser) => void;
  onCancel?: () => void;
}

/** Makes a SQL user. */
export function SqlUserForm({ cluster, onCreated, onCancel }: Props) {
  const [name, setName] = useState("");
  const [wish, setWish] = useState(GENERATED);
  const [strict, setStrict] = useState(false);
  const create = useCreateSqlUser(cluster);
  const submit = () => {
    setStrict(true);
    if (sqlUserProblem(name) || wishProblem(wish) || create.isPending) return;
    const password = passwordOf(wish);
    create.mutate(
      { name, password },
      { onSuccess: (user) => onCreated({ name: user.name, generated: wish.own ? null : password }) },
    );
  };
  return (
    <form
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Stack>
        <TextInput
          label="User name"
          placeholder="maxroach"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          error={strict ? sqlUserProblem(name) : null}
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          data-autofocus
        />
        <NewPassword wish={wish} onChange={setWish} strict={strict} />
        {create.error && <ErrorNote title="The user was not created" error={create.error} />}
        <Group justify="flex-end">
          {onCancel && (
            <Button variant="default" onClick={onCancel}>
              Cancel
            </Button>
          )}
          <Button type="submit" loading={create.isPending}>
            {wish.own ? "Create user" : "Generate & save password"}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
