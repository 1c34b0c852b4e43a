import { Menu, SegmentedControl, UnstyledButton, useMantineColorScheme, type MantineColorScheme } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconChevronUp, IconKey, IconLogout } from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import { signOut } from "../api/extensions";
import { queryClient, useSession } from "../api/queries";
import { PasswordDialog } from "./PasswordDialog";
import { useChange } from "./mutation";
import classes from "./UserMenu.module.css";

function SchemeChoice() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <SegmentedControl
      fullWidth
      size="xs"
      aria-label="Colours"
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

/** Who is signed in, and what concerns only them. */
export function UserMenu() {
  const whoami = useSession();
  const navigate = useNavigate();
  const [opened, password] = useDisclosure();
  const leave = useChange({
    mutationFn: signOut,
    onSuccess: () => {
      queryClient.clear();
      void navigate({ to: "/sign-in" });
    },
  });
  if (!whoami) return null;
  return (
    <>
      <Menu position="top-start" width={240}>
        <Menu.Target>
          <UnstyledButton className={classes.target}>
            <span className={classes.initial} aria-hidden>
              {whoami.user.email.charAt(0).toUpperCase()}
            </span>
            <span className={classes.email}>{whoami.user.email}</span>
            <IconChevronUp size={14} aria-hidden />
          </UnstyledButton>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>Colours</Menu.Label>
          <div className={classes.scheme}>
            <SchemeChoice />
          </div>
          <Menu.Divider />
          <Menu.Item leftSection={<IconKey size={16} />} onClick={password.open}>
            {whoami.user.has_password ? "Change password" : "Choose a password"}
          </Menu.Item>
          <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => leave.mutate()}>
            Sign out
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <PasswordDialog opened={opened} onClose={password.close} />
    </>
  );
}
