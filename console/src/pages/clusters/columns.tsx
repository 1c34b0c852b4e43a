import { ActionIcon, Anchor, Menu } from "@mantine/core";
import {
  IconCopy,
  IconDots,
  IconFolderSymlink,
  IconPlugConnected,
  IconShieldLock,
  IconTags,
  IconTrash,
} from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { createColumnHelper, type ColumnDef } from "@tanstack/react-table";
import { createContext, useContext, useState } from "react";
import type { Cluster } from "../../api/client";
import type { LatestSample } from "../../api/extensions";
import { useAllowed, useCanClone } from "../../api/permissions";
import { hasPresentData } from "../../api/queries";
import { ExpiryBadge } from "../../features/cluster/ExpiryBadge";
import { StateBadge } from "../../features/cluster/StateBadge";
import { RelativeTime } from "../../components/RelativeTime";
import type { ClusterDialog } from "../../features/cluster/ClusterDialogs";
import { CLOUD_NAMES, labelText, MIB, PLAN_NAMES, regionNames } from "../../features/cluster/format";
import { formatBytes, formatNumber } from "../../lib/format";

import type { ClusterRow } from "./rows";
import classes from "./clusters.module.css";

const column = createColumnHelper<ClusterRow>();

export interface OpenDialog {
  kind: ClusterDialog;
  cluster: Cluster;
}

type Open = (dialog: OpenDialog) => void;

/** The latest samples of the clusters on the screen. */
export const SamplesContext = createContext<Record<string, LatestSample>>({});

/** A value of the latest sample. It comes through a context, because new columns would render every row again. */
function LatestValue({ cluster, name, fallback }: { cluster: Cluster; name: string; fallback?: number }) {
  const value = useContext(SamplesContext)[cluster.id]?.[name] ?? fallback;
  return <span className="tabular">{value == null ? "–" : formatNumber(value)}</span>;
}

/** The columns. The page must create them only once. */
export function columnsOf(open: Open): ColumnDef<ClusterRow, any>[] {
  return [
    column.accessor((row) => row.cluster.name, {
      id: "name",
      header: "Name",
      meta: { width: "minmax(150px, 2.2fr)", bare: true },
      cell: ({ row }) => <Name row={row.original} />,
    }),
    column.accessor((row) => row.cluster.ootheca.limit_status + row.cluster.state, {
      id: "state",
      header: "State",
      meta: { width: "minmax(122px, 0.9fr)" },
      cell: ({ row }) => <StateBadge cluster={row.original.cluster} />,
    }),
    column.accessor((row) => row.cluster.plan, {
      id: "plan",
      header: "Plan",
      meta: { width: "minmax(66px, 0.6fr)", from: 700 },
      cell: ({ row }) => PLAN_NAMES[row.original.cluster.plan],
    }),
    column.accessor((row) => regionNames(row.cluster), {
      id: "regions",
      header: "Region",
      meta: { width: "minmax(100px, 1.2fr)" },
      cell: ({ row }) => (
        <span title={CLOUD_NAMES[row.original.cluster.cloud_provider]}>{regionNames(row.original.cluster)}</span>
      ),
    }),
    column.accessor((row) => row.cluster.ootheca.usage.connections, {
      id: "connections",
      header: "Connections",
      meta: { width: "minmax(108px, 0.7fr)", align: "right" },
      cell: ({ row, getValue }) => (
        <LatestValue cluster={row.original.cluster} name="connections" fallback={Number(getValue())} />
      ),
    }),
    column.display({
      id: "statements",
      header: "Transactions/s",
      meta: { width: "minmax(94px, 0.7fr)", align: "right", from: 860 },
      cell: ({ row }) => <LatestValue cluster={row.original.cluster} name="statements" />,
    }),
    column.accessor((row) => row.cluster.ootheca.usage.storage_mib, {
      id: "storage",
      header: "Storage",
      meta: { width: "minmax(76px, 0.7fr)", align: "right" },
      cell: ({ getValue }) => <span className="tabular">{formatBytes(Number(getValue()) * MIB)}</span>,
    }),
    column.accessor((row) => row.cluster.created_at ?? "", {
      id: "created",
      header: "Created",
      meta: { width: "minmax(102px, 0.8fr)", from: 980 },
      cell: ({ row }) => <RelativeTime time={row.original.cluster.created_at} />,
    }),
    column.display({
      id: "actions",
      header: () => <span className="visually-hidden">Actions</span>,
      meta: { width: "28px", corner: true },
      cell: ({ row }) => <Actions cluster={row.original.cluster} open={open} />,
    }),
  ];
}

function Name({ row: { cluster, folder } }: { row: ClusterRow }) {
  const labels = Object.entries(cluster.labels);
  return (
    <div className={classes.name}>
      <span className={classes.nameLine}>
        <Anchor
          c="inherit"
          fw={600}
          renderRoot={(props) => (
            <Link {...props} to="/clusters/$clusterId/overview" params={{ clusterId: cluster.id }} tabIndex={-1} />
          )}
        >
          {cluster.name}
        </Anchor>
        {cluster.delete_protection === "ENABLED" && (
          <span title="Delete protection is on">
            <IconShieldLock size={14} aria-label="Protected" />
          </span>
        )}
        <ExpiryBadge cluster={cluster} />
      </span>
      {(folder || labels.length > 0) && (
        <span className={classes.below}>
          {[folder, ...labels.slice(0, 3).map(([key, value]) => labelText(key, value))].filter(Boolean).join(" · ")}
        </span>
      )}
    </div>
  );
}

/** The button of the menu. The menu is created on the first click, because lists can have thousands of rows. */
function Actions({ cluster, open }: { cluster: Cluster; open: Open }) {
  const [opened, setOpened] = useState(false);
  if (opened) return <ActionMenu cluster={cluster} open={open} />;
  return (
    <ActionIcon
      variant="subtle"
      color="gray"
      aria-label={`Actions for ${cluster.name}`}
      aria-haspopup="menu"
      onClick={() => setOpened(true)}
    >
      <IconDots size={16} aria-hidden />
    </ActionIcon>
  );
}

function ActionMenu({ cluster, open }: { cluster: Cluster; open: Open }) {
  const canEdit = useAllowed(cluster, "UpdateCluster");
  const canDelete = useAllowed(cluster, "DeleteCluster");
  const canClone = useCanClone(cluster) && hasPresentData(cluster);
  return (
    <Menu width={190} defaultOpened>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${cluster.name}`}>
          <IconDots size={16} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<IconPlugConnected size={16} />} onClick={() => open({ kind: "connect", cluster })}>
          Connect
        </Menu.Item>
        <Menu.Item
          leftSection={<IconCopy size={16} />}
          disabled={!canClone}
          onClick={() => open({ kind: "clone", cluster })}
        >
          Clone
        </Menu.Item>
        <Menu.Item
          leftSection={<IconTags size={16} />}
          disabled={!canEdit}
          onClick={() => open({ kind: "labels", cluster })}
        >
          Edit labels
        </Menu.Item>
        <Menu.Item
          leftSection={<IconFolderSymlink size={16} />}
          disabled={!canEdit}
          onClick={() => open({ kind: "move", cluster })}
        >
          Move to folder
        </Menu.Item>
        <Menu.Divider />
        <Menu.Item
          c="var(--mantine-color-error)"
          leftSection={<IconTrash size={16} />}
          disabled={!canDelete}
          onClick={() => open({ kind: "delete", cluster })}
        >
          Delete
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
