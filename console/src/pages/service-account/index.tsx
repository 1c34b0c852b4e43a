/** A service account: its properties, roles, and API keys. */
import { Button, Text } from "@mantine/core";
import { IconPencil, IconShield, IconTrash } from "@tabler/icons-react";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { isAllowed } from "../../api/permissions";
import { useSession } from "../../api/queries";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { CopyButton } from "../../components/CopyButton";
import { DescriptionList } from "../../components/DescriptionList";
import { ErrorAlert } from "../../components/ErrorAlert";
import { Page } from "../../components/Page";
import { PageLoading } from "../../components/PageLoading";
import { RelativeTime } from "../../components/RelativeTime";
import { useAccount, useDeleteAccount, type ServiceAccount } from "../../features/access/data";
import { RoleList } from "../../features/access/RoleList";
import { RolesDialog } from "../../features/access/RolesDialog";
import { ServiceAccountDialog } from "../../features/access/ServiceAccountDialog";
import { ApiKeys } from "./ApiKeys";

const BREADCRUMBS = [
  { label: "Access", to: "/access" },
  { label: "Service accounts", to: "/access/service-accounts" },
];
const DANGER = "light-dark(var(--mantine-color-red-8), var(--mantine-color-red-4))";

export default function ServiceAccountPage() {
  const { id = "" } = useParams({ strict: false });
  const account = useAccount(id);
  if (account.data) return <Account account={account.data} />;
  return (
    <Page title="Service account" breadcrumbs={BREADCRUMBS}>
      {account.error ? (
        <ErrorAlert
          title="Couldn't load the service account"
          error={account.error}
          retry={() => void account.refetch()}
        />
      ) : (
        <PageLoading />
      )}
    </Page>
  );
}

function Account({ account }: { account: ServiceAccount }) {
  const [dialog, setDialog] = useState<"edit" | "roles" | "delete" | null>(null);
  const canEdit = isAllowed(useSession(), "UpdateServiceAccount");
  const close = () => setDialog(null);
  const actions = canEdit && (
    <>
      <Button variant="default" leftSection={<IconPencil size={16} aria-hidden />} onClick={() => setDialog("edit")}>
        Edit
      </Button>
      <Button variant="default" leftSection={<IconShield size={16} aria-hidden />} onClick={() => setDialog("roles")}>
        Edit roles
      </Button>
      <Button
        variant="default"
        c={DANGER}
        leftSection={<IconTrash size={16} aria-hidden />}
        onClick={() => setDialog("delete")}
      >
        Delete
      </Button>
    </>
  );
  return (
    <Page title={account.name} text={account.description} breadcrumbs={BREADCRUMBS} actions={actions}>
      <Details account={account} />
      <ApiKeys account={account} canEdit={canEdit} />
      {dialog === "edit" && <ServiceAccountDialog account={account} onClose={close} />}
      {dialog === "roles" && (
        <RolesDialog
          principal={{
            id: account.id,
            name: account.name,
            withoutRoles: "Without roles, the account can't access any clusters.",
          }}
          onClose={close}
        />
      )}
      {dialog === "delete" && <DeleteDialog account={account} onClose={close} />}
    </Page>
  );
}

function Details({ account }: { account: ServiceAccount }) {
  return (
    <section aria-label="Details">
      <DescriptionList
        panel
        items={[
          { term: "ID", value: <CopyButton value={account.id} label="Copy ID" inline /> },
          { term: "Roles", value: <RoleList grants={account.roles} /> },
          account.group_roles.length > 0 && {
            term: "Inherited roles",
            value: <RoleList grants={account.group_roles.map((held) => held.role)} />,
          },
          {
            term: "Created",
            value: (
              <>
                <RelativeTime time={account.created_at} />{" "}
                <Text span size="sm" c="dimmed">
                  by {account.creator_name}
                </Text>
              </>
            ),
          },
        ]}
      />
    </section>
  );
}

function DeleteDialog({ account, onClose }: { account: ServiceAccount; onClose: () => void }) {
  const navigate = useNavigate();
  const remove = useDeleteAccount({
    successMessage: "Service account deleted",
    onSuccess: () => void navigate({ to: "/access/$tab", params: { tab: "service-accounts" } }),
  });
  return (
    <ConfirmDialog
      onClose={onClose}
      title={`Delete ${account.name}?`}
      action="Delete service account"
      name={account.name}
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(account.id)}
    >
      All of its API keys will stop working. You can't undo this action.
    </ConfirmDialog>
  );
}
