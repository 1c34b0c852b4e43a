/** Signs in with an email address and a password. */
import { Alert, Button, Code, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useSearch } from "@tanstack/react-router";
import { ApiError } from "../../api/client";
import { signIn, type Session, type SignIn } from "../../api/extensions";
import { ErrorAlert } from "../../components/ErrorAlert";
import { useNotifiedMutation } from "../../components/useNotifiedMutation";
import { useSignInRedirect } from "../../features/account/useSignInRedirect";
import { AuthLayout } from "../../layouts/AuthLayout";

/** A server with several organizations rejects the request until it names one. */
const needsOrganization = (error: unknown) => error instanceof ApiError && /\borganization: /.test(error.message);

export default function SignInPage() {
  const { to, expired } = useSearch({ strict: false });
  const onSuccess = useSignInRedirect(to);
  const enter = useNotifiedMutation<Session, SignIn>({ mutationFn: signIn, errorTitle: null, onSuccess });
  const form = useForm({
    mode: "uncontrolled",
    initialValues: { email: "", password: "", organization: "" },
  });
  const submit = form.onSubmit(({ email, password, organization }) =>
    enter.mutate({ email, password, ...(organization ? { organization } : {}) }),
  );
  return (
    <AuthLayout title="Sign in">
      <form onSubmit={submit}>
        <Stack>
          {expired && !enter.error && (
            <Alert color="blue" variant="light">
              Your session has ended. Sign in to continue where you left off.
            </Alert>
          )}
          {needsOrganization(enter.error) && (
            <TextInput label="Organization" key={form.key("organization")} {...form.getInputProps("organization")} />
          )}
          <TextInput
            label="Email address"
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
          {enter.error && <ErrorAlert error={enter.error} title="Couldn't sign in" />}
          <Button type="submit" fullWidth loading={enter.isPending}>
            Sign in
          </Button>
          <Text size="xs" c="dimmed">
            No password? An organization admin can send you an invite link. On the server, run{" "}
            <Code>ootheca admin link</Code> to print a one-time link.
          </Text>
        </Stack>
      </form>
    </AuthLayout>
  );
}
