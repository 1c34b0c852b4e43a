/** The overview of a cluster: its state, usage, activity, and settings. */
import { ActionIcon, Button, Group, Menu, Skeleton, Text } from "@mantine/core";
import { IconDots, IconPlugConnected } from "@tabler/icons-react";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import type { Cluster } from "../../api/client";
import { useAllowed, useCanClone } from "../../api/permissions";
import { foldersAbove, hasPresentData, useCluster, useFolders } from "../../api/queries";
import { ErrorAlert } from "../../components/ErrorAlert";
import { Page, type Crumb } from "../../components/Page";
import { ClusterDialogs, type ClusterDialog } from "../../features/cluster/ClusterDialogs";
import { ExpiryBadge } from "../../features/cluster/ExpiryBadge";
import { RestoreBanner } from "../../features/cluster/RestoreBanner";
import { StateBadge } from "../../features/cluster/StateBadge";
import { Charts } from "./Charts";
import { LimitsDialog } from "./LimitsDialog";
import { Nodes } from "./Nodes";
import { Notices } from "./Notices";
import classes from "./overview.module.css";
import { Settings } from "./Settings";
import { Stats } from "./Stats";

/** The dialogs that the page can open. */
export type Dialog = ClusterDialog | "limits";

export default function OverviewPage() {
  const { clusterId = "" } = useParams({ strict: false });
  const { data: cluster, error, refetch } = useCluster(clusterId);
  if (cluster) return <Overview cluster={cluster} />;
  return (
    <Page title="Cluster" breadcrumbs={[{ label: "Clusters", to: "/clusters" }]}>
      {error ? (
        <ErrorAlert title="Couldn't load the cluster" error={error} retry={() => void refetch()} />
      ) : (
        <>
          <Skeleton height={92} />
          <Skeleton height={220} />
        </>
      )}
    </Page>
  );
}

function Overview({ cluster }: { cluster: Cluster }) {
  const navigate = useNavigate();
  const folders = useFolders().data ?? [];
  const [dialog, setDialog] = useState<Dialog | null>(null);
  const { new: created } = useSearch({ strict: false });
  const deleted = cluster.state === "DELETED";
  const canEdit = useAllowed(cluster, "UpdateCluster") && !deleted;
  const close = () => setDialog(null);
  const breadcrumbs: Crumb[] = [
    { label: "Clusters", to: "/clusters" },
    ...foldersAbove(folders, cluster.parent_id).map(({ name, resource_id }) => ({
      label: name,
      to: `/folders/${resource_id}`,
    })),
  ];
  return (
    <Page
      title={cluster.name}
      badge={
        <>
          <StateBadge cluster={cluster} />
          <ExpiryBadge cluster={cluster} />
        </>
      }
      breadcrumbs={breadcrumbs}
      actions={!deleted && <Actions cluster={cluster} canEdit={canEdit} open={setDialog} />}
    >
      {created && !deleted && <Welcome cluster={cluster} onConnect={() => setDialog("connect")} />}
      <RestoreBanner cluster={cluster} />
      <Notices cluster={cluster} onEditLimits={canEdit ? () => setDialog("limits") : undefined} />
      <Stats cluster={cluster} />
      <Charts cluster={cluster} />
      <div className={classes.columns}>
        <Settings cluster={cluster} canEdit={canEdit} onEdit={setDialog} />
        <Nodes cluster={cluster} />
      </div>
      {dialog === "limits" && <LimitsDialog cluster={cluster} onClose={close} />}
      {dialog && dialog !== "limits" && (
        <ClusterDialogs
          kind={dialog}
          cluster={cluster}
          onClose={close}
          onDeleted={() => void navigate({ to: "/clusters" })}
        />
      )}
    </Page>
  );
}

interface ActionsProps {
  cluster: Cluster;
  canEdit: boolean;
  open: (dialog: Dialog) => void;
}

function Actions({ cluster, canEdit, open }: ActionsProps) {
  const canDelete = useAllowed(cluster, "DeleteCluster");
  const canClone = useCanClone(cluster) && hasPresentData(cluster);
  return (
    <>
      <Button leftSection={<IconPlugConnected size={16} aria-hidden />} onClick={() => open("connect")}>
        Connect
      </Button>
      <Menu width={190}>
        <Menu.Target>
          <ActionIcon variant="default" size={36} aria-label="More actions">
            <IconDots size={16} aria-hidden />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item disabled={!canClone} onClick={() => open("clone")}>
            Clone
          </Menu.Item>
          <Menu.Item disabled={!canEdit} onClick={() => open("labels")}>
            Edit labels
          </Menu.Item>
          <Menu.Item disabled={!canEdit} onClick={() => open("move")}>
            Move to folder
          </Menu.Item>
          <Menu.Item disabled={!canEdit} onClick={() => open("limits")}>
            {cluster.plan === "BASIC" ? "Edit limits" : "Edit capacity"}
          </Menu.Item>
          <Menu.Divider />
          <Menu.Item c="var(--mantine-color-error)" disabled={!canDelete} onClick={() => open("delete")}>
            Delete
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </>
  );
}

/** Shown once after the cluster was created. */
function Welcome({ cluster, onConnect }: { cluster: Cluster; onConnect: () => void }) {
  const navigate = useNavigate();
  return (
    <div className={classes.welcome} role="status">
      <Text>
        <strong>{cluster.name} is ready.</strong> Create a SQL user and connect.
      </Text>
      <Group gap="xs">
        <Button size="xs" onClick={onConnect}>
          Connect
        </Button>
        <Button size="xs" variant="subtle" onClick={() => void navigate({ to: ".", search: {}, replace: true })}>
          Dismiss
        </Button>
      </Group>
    </div>
  );
}
