/** Coming in with a link, once: `/link#TOKEN`. The token stays out of requests' addresses and of the history. */
import { Anchor, Button, PasswordInput, Stack, Switch } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { signIn, type SignIn, type Whoami } from "../../api/extensions";
import { ErrorNote } from "../../components/ErrorNote";
import { Door } from "../../shell/Door";
import { useEntered } from "../../shell/entered";
import { useChange } from "../../shell/mutation";

export default function LinkPage() {
  const [token] = useState(() => location.hash.slice(1));
  const [choose, setChoose] = useState(true);
  const [password, setPassword] = useState("");
  const entered = useEntered();
  const enter = useChange<Whoami, SignIn>({ mutationFn: signIn, failed: null, onSuccess: entered });
  useEffect(() => {
    if (location.hash) history.replaceState(history.state, "", location.pathname);
  }, []);
  if (!token) {
    return (
      <Door title="This link is not complete" text="Open it as it was printed, with everything after the #.">
        <Anchor renderRoot={(props) => <Link {...props} to="/sign-in" />}>Sign in with a password instead</Anchor>
      </Door>
    );
  }
  return (
    <Door title="Welcome" text="This link lets you in once. Choose a password for the next time.">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          enter.mutate({ link_token: token, ...(choose ? { password } : {}) });
        }}
      >
        <Stack>
          <Switch
            label="Choose a password"
            checked={choose}
            onChange={(event) => setChoose(event.currentTarget.checked)}
          />
          {choose && (
            <PasswordInput
              label="New password"
              description="You can sign in with it later, from anywhere."
              autoComplete="new-password"
              required
              autoFocus
              value={password}
              onChange={(event) => setPassword(event.currentTarget.value)}
            />
          )}
          {enter.error && <ErrorNote error={enter.error} />}
          <Button type="submit" fullWidth loading={enter.isPending}>
            {choose ? "Save and come in" : "Come in"}
          </Button>
          <Anchor size="sm" ta="center" renderRoot={(props) => <Link {...props} to="/sign-in" />}>
            Sign in with a password
          </Anchor>
        </Stack>
      </form>
    </Door>
  );
}
