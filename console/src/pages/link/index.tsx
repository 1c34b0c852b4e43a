/** Signs in with a one-time link, `/link#TOKEN`. The token is kept out of requests and of the browser history. */
import { Anchor, Button, PasswordInput, Stack, Switch } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { signIn, type Session, type SignIn } from "../../api/extensions";
import { PASSWORD_RULE, passwordError } from "../../api/validation";
import { ErrorAlert } from "../../components/ErrorAlert";
import { useNotifiedMutation } from "../../components/useNotifiedMutation";
import { withRule } from "../../components/withRule";
import { useSignInRedirect } from "../../features/account/useSignInRedirect";
import { AuthLayout } from "../../layouts/AuthLayout";

export default function LinkPage() {
  const [token] = useState(() => location.hash.slice(1));
  useEffect(() => {
    if (location.hash) history.replaceState(history.state, "", location.pathname);
  }, []);
  if (token) {
    return (
      <AuthLayout title="Welcome" text="Sign in with this one-time link.">
        <SignInForm token={token} />
      </AuthLayout>
    );
  }
  return (
    <AuthLayout title="This link is incomplete" text="Copy the whole link, including everything after the #.">
      <PasswordSignInLink />
    </AuthLayout>
  );
}

function PasswordSignInLink() {
  return (
    <Anchor size="sm" ta="center" renderRoot={(props) => <Link {...props} to="/sign-in" />}>
      Sign in with a password
    </Anchor>
  );
}

function SignInForm({ token }: { token: string }) {
  const [setsPassword, setSetsPassword] = useState(true);
  const [password, setPassword] = useState("");
  const [showErrors, setShowErrors] = useState(false);
  const onSuccess = useSignInRedirect();
  const enter = useNotifiedMutation<Session, SignIn>({ mutationFn: signIn, errorTitle: null, onSuccess });
  const submit = () => {
    setShowErrors(true);
    if (setsPassword && passwordError(password)) return;
    enter.mutate({ link_token: token, ...(setsPassword ? { password } : {}) });
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Stack>
        <Switch
          label="Set a password"
          description="Use it the next time you sign in."
          checked={setsPassword}
          onChange={(event) => setSetsPassword(event.currentTarget.checked)}
        />
        {setsPassword && (
          <PasswordInput
            label="New password"

            autoComplete="new-password"
            required
            autoFocus
            value={password}
            {...withRule(PASSWORD_RULE, showErrors ? passwordError(password) : null)}
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
        )}
        {enter.error && <ErrorAlert title="Couldn't sign in" error={enter.error} />}
        <Button type="submit" fullWidth loading={enter.isPending}>
          {setsPassword ? "Save and sign in" : "Sign in"}
        </Button>
        <PasswordSignInLink />
      </Stack>
    </form>
  );
}
