/** One cluster: how it is, what it uses, and its settings. */
import { ActionIcon, Button, Group, Menu, Skeleton, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconDots, IconPlugConnected } from "@tabler/icons-react";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Suspense, lazy, useState } from "react";
import type { Cluster } from "../../api/client";
import { foldersAbove, useCanOnCluster, useCluster, useFolders } from "../../api/queries";
import { ErrorNote } from "../../components/ErrorNote";
import { Page, type Crumb } from "../../components/Page";
import { StateBadge } from "../../components/StateBadge";
import { DeleteDialog } from "../../components/cluster/DeleteDialog";
import { LabelsDialog } from "../../components/cluster/LabelsDialog";
import { MoveDialog } from "../../components/cluster/MoveDialog";
import { Charts } from "./Charts";
import { LimitsDialog } from "./LimitsDialog";
import { Nodes } from "./Nodes";
import { Notices } from "./Notices";
import { Settings } from "./Settings";
import { Stats } from "./Stats";
import classes from "./overview.module.css";

const ConnectDialog = lazy(() => import("../connect"));

/** What can be opened over the page. */
export type Edit = "labels" | "move" | "delete" | "limits";

export default function OverviewPage() {
  const { clusterId = "" } = useParams({ strict: false });
  const { data: cluster, error, refetch } = useCluster(clusterId);
  if (cluster) return <Overview cluster={cluster} />;
  if (error) {
    return (
      <Page title="Cluster" breadcrumbs={[{ label: "Clusters", to: "/clusters" }]}>
        <ErrorNote error={error} retry={() => void refetch()} />
      </Page>
    );
  }
  return (
    <Page title="Cluster">
      <Skeleton height={92} />
      <Skeleton height={220} />
    </Page>
  );
}

function Overview({ cluster }: { cluster: Cluster }) {
  const navigate = useNavigate();
  const folders = useFolders().data ?? [];
  const [edit, setEdit] = useState<Edit | null>(null);
  const { new: fresh } = useSearch({ strict: false });
  const [connecting, connect] = useDisclosure();
  const mayChange = useCanOnCluster(cluster, ["CLUSTER_ADMIN", "CLUSTER_OPERATOR_WRITER"]);
  const mayDelete = useCanOnCluster(cluster, ["CLUSTER_ADMIN"]);
  const gone = cluster.state === "DELETED";
  const close = () => setEdit(null);
  const crumbs: Crumb[] = [
    { label: "Clusters", to: "/clusters" },
    ...foldersAbove(folders, cluster.parent_id).map(({ name, resource_id }) => ({
      label: name,
      to: `/folders/${resource_id}`,
    })),
  ];
  const actions = !gone && (
    <>
      <Button leftSection={<IconPlugConnected size={16} aria-hidden />} onClick={connect.open}>
        Connect
      </Button>
      <Menu width={190}>
        <Menu.Target>
          <ActionIcon variant="default" size={36} aria-label="More actions">
            <IconDots size={16} aria-hidden />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item disabled={!mayChange} onClick={() => setEdit("labels")}>
            Edit labels
          </Menu.Item>
          <Menu.Item disabled={!mayChange} onClick={() => setEdit("move")}>
            Move to a folder
          </Menu.Item>
          <Menu.Item disabled={!mayChange} onClick={() => setEdit("limits")}>
            Edit capacity
          </Menu.Item>
          <Menu.Divider />
          <Menu.Item c="var(--mantine-color-error)" disabled={!mayDelete} onClick={() => setEdit("delete")}>
            Delete
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </>
  );
  return (
    <Page title={cluster.name} badge={<StateBadge cluster={cluster} />} breadcrumbs={crumbs} actions={actions}>
      {fresh && !gone && (
        <div className={classes.welcome} role="status">
          <Text>
            <strong>{cluster.name} is ready.</strong> Make a SQL user and connect to it.
          </Text>
          <Group gap="xs">
            <Button size="xs" onClick={connect.open}>
              Connect
            </Button>
            <Button size="xs" variant="subtle" onClick={() => void navigate({ to: ".", search: {}, replace: true })}>
              Later
            </Button>
          </Group>
        </div>
      )}
      <Notices cluster={cluster} onEditLimits={mayChange ? () => setEdit("limits") : undefined} />
      <Stats cluster={cluster} />
      <Charts cluster={cluster} />
      <div className={classes.columns}>
        <Settings cluster={cluster} mayChange={mayChange && !gone} onEdit={setEdit} />
        <Nodes cluster={cluster} />
      </div>
      {connecting && (
        <Suspense fallback={null}>
          <ConnectDialog cluster={cluster} opened onClose={connect.close} />
        </Suspense>
      )}
      {edit === "labels" && <LabelsDialog cluster={cluster} onClose={close} />}
      {edit === "move" && <MoveDialog cluster={cluster} onClose={close} />}
      {edit === "limits" && <LimitsDialog cluster={cluster} onClose={close} />}
      {edit === "delete" && (
        <DeleteDialog cluster={cluster} onClose={close} onDeleted={() => void navigate({ to: "/clusters" })} />
      )}
    </Page>
  );
}
