/** One service account: what it is, what it may do, and its keys. */
import { Button, Text, Title } from "@mantine/core";
import { IconPencil, IconShield, IconTrash } from "@tabler/icons-react";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { can, useSession } from "../../api/queries";
import { Confirm } from "../../components/Confirm";
import { Copy } from "../../components/Copy";
import { ErrorNote } from "../../components/ErrorNote";
import { Page } from "../../components/Page";
import { TimeAgo } from "../../components/TimeAgo";
import { PageLoading } from "../../shell/PageLoading";
import classes from "./access.module.css";
import { AccountDialog } from "./AccountDialog";
import { useAccount, useDeleteAccount, type ServiceAccount } from "./data";
import { Keys } from "./Keys";
import { RoleList } from "./RoleList";
import { RolesDialog } from "./RolesDialog";

const CRUMBS = [
  { label: "Access", to: "/access" },
  { label: "Service accounts", to: "/access/service-accounts" },
];

export default function ServiceAccountPage() {
  const { id = "" } = useParams({ strict: false });
  const account = useAccount(id);
  if (account.data) return <Account account={account.data} />;
  return (
    <Page title="Service account" breadcrumbs={CRUMBS}>
      {account.error ? <ErrorNote error={account.error} retry={() => void account.refetch()} /> : <PageLoading />}
    </Page>
  );
}

function Account({ account }: { account: ServiceAccount }) {
  const [editing, setEditing] = useState<"account" | "roles" | "delete" | null>(null);
  const admin = can(useSession(), ["ORG_ADMIN"]);
  const close = () => setEditing(null);
  return (
    <Page
      title={account.name}
      text={account.description}
      breadcrumbs={CRUMBS}
      actions={
        admin && (
          <>
            <Button
              variant="default"
              leftSection={<IconPencil size={16} aria-hidden />}
              onClick={() => setEditing("account")}
            >
              Edit
            </Button>
            <Button
              variant="default"
              leftSection={<IconShield size={16} aria-hidden />}
              onClick={() => setEditing("roles")}
            >
              Roles
            </Button>
            <Button
              variant="default"
              c="light-dark(var(--mantine-color-red-8), var(--mantine-color-red-4))"
              leftSection={<IconTrash size={16} aria-hidden />}
              onClick={() => setEditing("delete")}
            >
              Delete
            </Button>
          </>
        )
      }
    >
      <Facts account={account} />
      <Keys account={account} mayChange={admin} />
      <AccountDialog opened={editing === "account"} onClose={close} account={account} />
      <RolesDialog principal={editing === "roles" ? account : null} onClose={close} />
      <Delete account={account} opened={editing === "delete"} onClose={close} />
    </Page>
  );
}

function Facts({ account }: { account: ServiceAccount }) {
  return (
    <section aria-label="About this account">
      <Title order={2} className="visually-hidden">
        About
      </Title>
      <dl className={`panel ${classes.facts}`}>
        <dt>Id</dt>
        <dd>
          <Copy value={account.id} label="Copy id" inline />
        </dd>
        <dt>Roles</dt>
        <dd>
          <RoleList grants={account.roles} />
        </dd>
        {account.group_roles.length > 0 && (
          <>
            <dt>Through groups</dt>
            <dd>
              <RoleList grants={account.group_roles.map((held) => held.role)} />
            </dd>
          </>
        )}
        <dt>Created</dt>
        <dd>
          <TimeAgo time={account.created_at} />{" "}
          <Text span size="sm" c="dimmed">
            by {account.creator_name}
          </Text>
        </dd>
      </dl>
    </section>
  );
}

function Delete({ account, opened, onClose }: { account: ServiceAccount; opened: boolean; onClose: () => void }) {
  const navigate = useNavigate();
  const remove = useDeleteAccount({
    done: `${account.name} is deleted`,
    onSuccess: () => void navigate({ to: "/access/$tab", params: { tab: "service-accounts" } }),
  });
  return (
    <Confirm
      opened={opened}
      onClose={() => {
        remove.reset();
        onClose();
      }}
      title={`Delete ${account.name}?`}
      action="Delete service account"
      name={account.name}
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(account.id)}
    >
      All its keys stop working at once. This can not be undone.
    </Confirm>
  );
}
