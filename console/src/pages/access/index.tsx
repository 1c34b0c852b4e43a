/** Access: users, service accounts, and groups. The tab is part of the path. */
import { Stack, Tabs } from "@mantine/core";
import { IconRobot, IconUsers, IconUsersGroup } from "@tabler/icons-react";
import { useNavigate, useParams } from "@tanstack/react-router";
import { Page } from "../../components/Page";
import classes from "./access.module.css";
import { Groups } from "./Groups";
import { People } from "./People";
import { ServiceAccounts } from "./ServiceAccounts";

const TABS = [
  { value: "people", label: "Users", icon: IconUsers, content: People },
  { value: "service-accounts", label: "Service accounts", icon: IconRobot, content: ServiceAccounts },
  { value: "groups", label: "Groups", icon: IconUsersGroup, content: Groups },
];

export default function Access() {
  const { tab } = useParams({ strict: false });
  const navigate = useNavigate();
  const chosen = TABS.find(({ value }) => value === tab) ?? TABS[0]!;
  const Content = chosen.content;
  return (
    <Page title="Access" text="Manage who has access and what they can do.">
      <Tabs value={chosen.value} onChange={(tab) => tab && void navigate({ to: "/access/$tab", params: { tab } })}>
        <Tabs.List className={classes.tabs}>
          {TABS.map(({ value, label, icon: Icon }) => (
            <Tabs.Tab key={value} value={value} leftSection={<Icon size={16} aria-hidden />}>
              {label}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value={chosen.value} pt="md">
          <Stack gap="md">
            <Content />
          </Stack>
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
