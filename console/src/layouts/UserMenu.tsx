import { Menu, SegmentedControl, UnstyledButton, useMantineColorScheme, type MantineColorScheme } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconChevronUp, IconKey, IconLogout } from "@tabler/icons-react";
import { lazy, Suspense } from "react";
import { signOut } from "../api/extensions";
import { SIGN_OUT, useSession } from "../api/queries";
import { useNotifiedMutation } from "../components/useNotifiedMutation";
import { openSignIn } from "../features/account/openSignIn";
import classes from "./UserMenu.module.css";

const PasswordDialog = lazy(() =>
  import("../features/account/PasswordDialog").then((module) => ({ default: module.PasswordDialog })),
);

function ThemeControl() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <SegmentedControl
      fullWidth
      size="xs"
      aria-label="Theme"
      value={colorScheme}
      onChange={(value) => setColorScheme(value as MantineColorScheme)}
      data={[
        { value: "auto", label: "System" },
        { value: "light", label: "Light" },
        { value: "dark", label: "Dark" },
      ]}
    />
  );
}

/** The menu of the signed-in user: theme, password, and signing out. */
export function UserMenu() {
  const session = useSession();
  const [opened, dialog] = useDisclosure();
  const signOutMutation = useNotifiedMutation({
    mutationKey: SIGN_OUT,
    mutationFn: signOut,
    onSuccess: () => openSignIn(),
  });
  if (!session) return null;
  return (
    <>
      <Menu position="top-start" width={240}>
        <Menu.Target>
          <UnstyledButton className={classes.target}>
            <span className={classes.initial} aria-hidden>
              {session.user.email.charAt(0).toUpperCase()}
            </span>
            <span className={classes.email}>{session.user.email}</span>
            <IconChevronUp size={14} aria-hidden />
          </UnstyledButton>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>Theme</Menu.Label>
          <div className={classes.scheme}>
            <ThemeControl />
          </div>
          <Menu.Divider />
          <Menu.Item leftSection={<IconKey size={16} />} onClick={dialog.open}>
            {session.user.has_password ? "Change password" : "Set a password"}
          </Menu.Item>
          <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => signOutMutation.mutate()}>
            Sign out
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {opened && (
        <Suspense fallback={null}>
          <PasswordDialog onClose={dialog.close} />
        </Suspense>
      )}
    </>
  );
}
