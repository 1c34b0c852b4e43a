/** Coming in with a password. */
import { Alert, Button, Code, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useSearch } from "@tanstack/react-router";
import { ApiError } from "../../api/client";
import { signIn, type SignIn, type Whoami } from "../../api/extensions";
import { ErrorNote } from "../../components/ErrorNote";
import { Door } from "../../shell/Door";
import { useEntered } from "../../shell/entered";
import { useChange } from "../../shell/mutation";

export default function SignInPage() {
  const { to, expired } = useSearch({ strict: false });
  const entered = useEntered(to);
  const enter = useChange<Whoami, SignIn>({ mutationFn: signIn, failed: null, onSuccess: entered });
  const several = enter.error instanceof ApiError && enter.error.message.includes("several");
  const form = useForm({
    mode: "uncontrolled",
    initialValues: { email: "", password: "", organization: "" },
  });
  const submit = form.onSubmit(({ email, password, organization }) =>
    enter.mutate({ email, password, ...(organization ? { organization } : {}) }),
  );
  return (
    <Door title="Sign in">
      <form onSubmit={submit}>
        <Stack>
          {expired && !enter.error && (
            <Alert color="blue" variant="light">
              Your session has ended. Sign in to go on where you were.
            </Alert>
          )}
          {several && (
            <TextInput label="Organization" key={form.key("organization")} {...form.getInputProps("organization")} />
          )}
          <TextInput
            label="E-mail address"
            type="email"
            autoComplete="username"
            required
            autoFocus
            key={form.key("email")}
            {...form.getInputProps("email")}
          />
          <PasswordInput
            label="Password"
            autoComplete="current-password"
            required
            key={form.key("password")}
            {...form.getInputProps("password")}
          />
          {enter.error && <ErrorNote error={enter.error} title="You are not signed in" />}
          <Button type="submit" fullWidth loading={enter.isPending}>
            Sign in
          </Button>
          <Text size="xs" c="dimmed">
            On the machine itself: <Code>ootheca serve</Code> prints a link at its first start that lets you in once. An
            administrator can make one for you as well.
          </Text>
        </Stack>
      </form>
    </Door>
  );
}
