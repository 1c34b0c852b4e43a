/** One folder: its place, its labels, what lies in it, and what can be done with it. */
import { Badge, Button, Group, Stack, Text, Title } from "@mantine/core";
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
import { can, useSession } from "../../api/queries";
import { MoveDialog as MoveClusterDialog } from "../../components/cluster/MoveDialog";
import { Copy } from "../../components/Copy";
import { Empty } from "../../components/Empty";
import { RowMenu, type RowAction } from "../../components/RowMenu";
import { StateBadge } from "../../components/StateBadge";
import { CreateDialog, DeleteDialog, LabelsDialog, MoveDialog, RenameDialog } from "./dialogs";
import classes from "./folders.module.css";
import { childrenOf, clustersIn, ROOT } from "./tree";

interface Props {
  folders: FolderResource[];
  clusters: Cluster[];
  /** The folder, or nothing at the top. */
  folder?: FolderResource;
  organization: string;
  onChoose: (id: string) => void;
}

type Asked = "create" | "rename" | "move" | "labels" | "delete";

export function Contents({ folders, clusters, folder, organization, onChoose }: Props) {
  const id = folder?.resource_id ?? ROOT;
  const [asked, setAsked] = useState<Asked | null>(null);
  const [moved, setMoved] = useState<Cluster>();
  const whoami = useSession();
  const place = { folders: folder ? [...folder.path.map((segment) => segment.id), id] : [] };
  const admin = can(whoami, ["FOLDER_ADMIN"], place);
  const mover = admin || can(whoami, ["FOLDER_MOVER"], place);
  const name = folder?.name ?? organization;
  const close = () => setAsked(null);

  return (
    <Stack gap="md">
      <div className={classes.head}>
        <div className={classes.title}>
          <Title order={2}>{name}</Title>
          <Text size="sm" c="dimmed">
            {folder
              ? ["Top", ...folder.path.map((segment) => segment.name)].join(" / ")
              : "The top: what lies in no folder"}
          </Text>
        </div>
        <Group gap="xs">
          {admin && (
            <Button size="xs" leftSection={<IconFolderPlus size={15} aria-hidden />} onClick={() => setAsked("create")}>
              New folder here
            </Button>
          )}
          {folder && mover && <RowMenu name={folder.name} actions={actions(admin, setAsked)} />}
        </Group>
      </div>
      {folder && <Facts folder={folder} />}
      <List
        folders={childrenOf(folders, id)}
        clusters={clustersIn(clusters, id)}
        onMove={mover ? setMoved : undefined}
        onChoose={onChoose}
      />
      {asked === "create" && (
        <CreateDialog parent={id} place={name} onClose={close} onDone={(made) => onChoose(made.resource_id)} />
      )}
      {folder && asked === "rename" && <RenameDialog folder={folder} onClose={close} />}
      {folder && asked === "move" && <MoveDialog folder={folder} onClose={close} />}
      {folder && asked === "labels" && <LabelsDialog folder={folder} onClose={close} />}
      {folder && asked === "delete" && (
        <DeleteDialog folder={folder} onClose={close} onDone={() => onChoose(folder.parent_id || ROOT)} />
      )}
      {moved && <MoveClusterDialog cluster={moved} onClose={() => setMoved(undefined)} />}
    </Stack>
  );
}

function actions(admin: boolean, ask: (what: Asked) => void): RowAction[] {
  const forMovers: RowAction[] = [
    { label: "Rename", icon: IconPencil, run: () => ask("rename") },
    { label: "Move", icon: IconFolderSymlink, run: () => ask("move") },
  ];
  if (!admin) return forMovers;
  return [
    ...forMovers,
    { label: "Labels", icon: IconTag, run: () => ask("labels") },
    { label: "Delete", icon: IconTrash, danger: true, run: () => ask("delete") },
  ];
}

function Facts({ folder }: { folder: FolderResource }) {
  const labels = Object.entries(folder.labels);
  return (
    <Group gap="xs">
      {labels.map(([key, value]) => (
        <Badge key={key} variant="default" radius="sm" tt="none" fw={500}>
          {value ? `${key}: ${value}` : key}
        </Badge>
      ))}
      <Text size="xs" c="dimmed" component="span">
        <Copy value={folder.resource_id} label="Copy id" inline />
      </Text>
    </Group>
  );
}

interface ListProps {
  folders: FolderResource[];
  clusters: Cluster[];
  /** Moves a cluster, where one may. */
  onMove?: (cluster: Cluster) => void;
  onChoose: (id: string) => void;
}

function List({ folders, clusters, onMove, onChoose }: ListProps) {
  if (folders.length + clusters.length === 0) {
    return (
      <div className="panel">
        <Empty
          icon={IconFolder}
          title="Nothing in here"
          text="Move a cluster here, or choose this folder when you create one."
          action={
            <Button variant="default" renderRoot={(props) => <Link {...props} to="/clusters/new" />}>
              Create a cluster
            </Button>
          }
        />
      </div>
    );
  }
  return (
    <ul className={`panel ${classes.list}`} aria-label="Contents">
      {folders.map((folder) => (
        <li key={folder.resource_id} className={classes.item}>
          <IconFolder size={18} stroke={1.6} aria-hidden className={classes.sign} />
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
          <IconServer2 size={18} stroke={1.6} aria-hidden className={classes.sign} />
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
