/** A folder: its path, labels, contents, and actions. */
import { Button, Group, Stack, Text, Title } from "@mantine/core";
import {
  IconFolder,
  IconFolderPlus,
  IconFolderSymlink,
  IconPencil,
  IconServer2,
  IconTag,
  IconTrash,
} from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Cluster, FolderResource } from "../../api/client";
import { isAllowed } from "../../api/permissions";
import { useSession } from "../../api/queries";
import { MoveDialog as MoveClusterDialog } from "../../features/cluster/MoveDialog";
import { CopyButton } from "../../components/CopyButton";
import { EmptyState } from "../../components/EmptyState";
import { RowMenu, type RowAction } from "../../components/RowMenu";
import { StateBadge } from "../../features/cluster/StateBadge";
import { Labels } from "../../features/cluster/Labels";
import { CreateFolderDialog } from "../../features/folder/CreateFolderDialog";
import { DeleteDialog, LabelsDialog, MoveDialog, RenameDialog } from "./dialogs";
import classes from "./folders.module.css";
import { childrenOf, clustersIn, ROOT } from "./tree";

interface Props {
  folders: FolderResource[];
  clusters: Cluster[];
  /** The folder, or undefined for the root. */
  folder?: FolderResource;
  organization: string;
  onChoose: (id: string) => void;
}

type Dialog = "create" | "rename" | "move" | "labels" | "delete";

export function Contents({ folders, clusters, folder, organization, onChoose }: Props) {
  const id = folder?.resource_id ?? ROOT;
  const [dialog, setDialog] = useState<Dialog | null>(null);
  const [moved, setMoved] = useState<Cluster>();
  const session = useSession();
  const scope = { folders: folder ? [...folder.path.map((segment) => segment.id), id] : [] };
  const canManage = isAllowed(session, "CreateFolder", scope);
  const canMove = isAllowed(session, "UpdateFolder", scope);
  const canCreateCluster = isAllowed(session, "CreateCluster", scope);
  const name = folder?.name ?? organization;
  const close = () => setDialog(null);

  return (
    <Stack gap="md">
      <div className={classes.head}>
        <div className={classes.title}>
          <Title order={2}>{name}</Title>
          <Text size="sm" c="dimmed">
            {folder
              ? [organization, ...folder.path.map((segment) => segment.name)].join(" / ")
              : "Clusters and folders at the top level"}
          </Text>
        </div>
        <Group gap="xs">
          {canManage && (
            <Button
              size="xs"
              leftSection={<IconFolderPlus size={15} aria-hidden />}
              onClick={() => setDialog("create")}
            >
              Create folder
            </Button>
          )}
          {folder && canMove && <RowMenu name={folder.name} actions={actionsOf(canManage, setDialog)} />}
        </Group>
      </div>
      {folder && (
        <Group gap="xs">
          <Labels labels={folder.labels} />
          <Text size="xs" c="dimmed" component="span">
            <CopyButton value={folder.resource_id} label="Copy ID" inline />
          </Text>
        </Group>
      )}
      <ContentList
        folders={childrenOf(folders, id)}
        clusters={clustersIn(clusters, id)}
        newCluster={canCreateCluster ? { folder: folder?.resource_id } : undefined}
        onMove={canMove ? setMoved : undefined}
        onChoose={onChoose}
      />
      {dialog === "create" && (
        <CreateFolderDialog parent={id} onClose={close} onCreated={(created) => onChoose(created.resource_id)} />
      )}
      {folder && dialog === "rename" && <RenameDialog folder={folder} onClose={close} />}
      {folder && dialog === "move" && <MoveDialog folder={folder} onClose={close} />}
      {folder && dialog === "labels" && <LabelsDialog folder={folder} onClose={close} />}
      {folder && dialog === "delete" && (
        <DeleteDialog folder={folder} onClose={close} onDeleted={() => onChoose(folder.parent_id || ROOT)} />
      )}
      {moved && <MoveClusterDialog cluster={moved} onClose={() => setMoved(undefined)} />}
    </Stack>
  );
}

function actionsOf(canManage: boolean, open: (dialog: Dialog) => void): RowAction[] {
  const forMovers: RowAction[] = [
    { label: "Rename", icon: IconPencil, run: () => open("rename") },
    { label: "Move", icon: IconFolderSymlink, run: () => open("move") },
  ];
  if (!canManage) return forMovers;
  return [
    ...forMovers,
    { label: "Edit labels", icon: IconTag, run: () => open("labels") },
    { label: "Delete", icon: IconTrash, danger: true, run: () => open("delete") },
  ];
}

interface ListProps {
  folders: FolderResource[];
  clusters: Cluster[];
  /** Moves a cluster, if the user is allowed to. */
  onMove?: (cluster: Cluster) => void;
  onChoose: (id: string) => void;
  /** The search parameters of the page that creates a cluster here, if the user is allowed to. */
  newCluster?: { folder?: string };
}

function ContentList({ folders, clusters, newCluster, onMove, onChoose }: ListProps) {
  if (folders.length + clusters.length === 0) {
    return (
      <div className="panel">
        <EmptyState
          icon={IconFolder}
          title="This folder is empty"
          text="Move a cluster here, or select this folder when you create a cluster."
          action={
            newCluster && (
              <Button
                variant="default"
                renderRoot={(props) => <Link {...props} to="/clusters/new" search={newCluster} />}
              >
                Create cluster
              </Button>
            )
          }
        />
      </div>
    );
  }
  return (
    <ul className={`panel ${classes.list}`} aria-label="Contents">
      {folders.map((folder) => (
        <li key={folder.resource_id} className={classes.item}>
          <IconFolder size={18} stroke={1.6} aria-hidden className={classes.icon} />
          <button type="button" className={classes.name} onClick={() => onChoose(folder.resource_id)}>
            {folder.name}
          </button>
          <Text size="sm" c="dimmed">
            Folder
          </Text>
        </li>
      ))}
      {clusters.map((cluster) => (
        <li key={cluster.id} className={classes.item}>
          <IconServer2 size={18} stroke={1.6} aria-hidden className={classes.icon} />
          <Link to="/clusters/$clusterId/overview" params={{ clusterId: cluster.id }} className={classes.name}>
            {cluster.name}
          </Link>
          <StateBadge cluster={cluster} />
          {onMove && (
            <RowMenu
              name={cluster.name}
              actions={[{ label: "Move", icon: IconFolderSymlink, run: () => onMove(cluster) }]}
            />
          )}
        </li>
      ))}
    </ul>
  );
}
