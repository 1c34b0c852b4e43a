import { Tooltip } from "@mantine/core";
import {
  IconActivity,
  IconApi,
  IconArrowLeft,
  IconBuilding,
  IconCalendarTime,
  IconChartLine,
  IconDatabase,
  IconFolders,
  IconHistory,
  IconNetwork,
  IconRestore,
  IconServer2,
  IconTerminal2,
  IconUserCog,
  IconUsers,
  type Icon,
} from "@tabler/icons-react";
import { Link, useParams, type LinkProps } from "@tanstack/react-router";
import type { Schemas } from "../api/client";
import { useLiveState } from "../api/events";
import { useCluster, useSession } from "../api/queries";
import { StateBadge } from "../features/cluster/StateBadge";
import { Logo } from "./Logo";
import { UserMenu } from "./UserMenu";
import classes from "./Navigation.module.css";

interface Item {
  to: LinkProps["to"];
  label: string;
  icon: Icon;
  exact?: boolean;
  /** The only plan of clusters that have this page. */
  plan?: Schemas["Plan"];
}

const ORGANIZATION: Item[] = [
  { to: "/clusters", label: "Clusters", icon: IconServer2 },
  { to: "/folders", label: "Folders", icon: IconFolders, exact: true },
  { to: "/access", label: "Access", icon: IconUsers },
  { to: "/audit", label: "Audit log", icon: IconHistory },
  { to: "/organization", label: "Organization", icon: IconBuilding },
  { to: "/explorer", label: "API explorer", icon: IconApi },
];

const CLUSTER: Item[] = [
  { to: "/clusters/$clusterId/overview", label: "Overview", icon: IconActivity },
  { to: "/clusters/$clusterId/sql", label: "SQL shell", icon: IconTerminal2 },
  { to: "/clusters/$clusterId/databases", label: "Databases", icon: IconDatabase },
  { to: "/clusters/$clusterId/users", label: "SQL users", icon: IconUserCog },
  { to: "/clusters/$clusterId/networking", label: "Networking", icon: IconNetwork },
  { to: "/clusters/$clusterId/backups", label: "Backup and restore", icon: IconRestore },
  { to: "/clusters/$clusterId/maintenance", label: "Maintenance", icon: IconCalendarTime, plan: "ADVANCED" },
  { to: "/clusters/$clusterId/metrics", label: "Metrics", icon: IconChartLine },
];

function NavigationItem({ item, params }: { item: Item; params?: { clusterId: string } }) {
  const Icon = item.icon;
  return (
    <li>
      <Link
        to={item.to}
        params={params as never}
        className={classes.entry}
        activeProps={{ className: classes.active }}
        activeOptions={{ exact: item.exact, includeSearch: false }}
      >
        <Icon size={17} stroke={1.7} aria-hidden />
        {item.label}
      </Link>
    </li>
  );
}

function ClusterItems({ id }: { id: string }) {
  const { data } = useCluster(id);
  return (
    <>
      <Link to="/clusters" className={classes.back}>
        <IconArrowLeft size={14} aria-hidden /> All clusters
      </Link>
      <div className={classes.subject}>
        <span className={classes.name} title={data?.name}>
          {data?.name ?? "…"}
        </span>
        {data && <StateBadge cluster={data} />}
      </div>
      <nav aria-label="Cluster">
        <ul className={classes.list}>
          {CLUSTER.filter(({ plan }) => plan === undefined || plan === data?.plan).map((item) => (
            <NavigationItem key={item.to} item={item} params={{ clusterId: id }} />
          ))}
        </ul>
      </nav>
    </>
  );
}

const HINTS = {
  live: "Changes appear immediately",
  connecting: "Connecting to the event stream",
  reconnecting: "The event stream is interrupted. Data is refreshed every 15 seconds.",
};

function LiveIndicator() {
  const state = useLiveState();
  const label = { live: "Live", connecting: "Connecting…", reconnecting: "Reconnecting…" }[state];
  return (
    <Tooltip label={HINTS[state]} position="top-start">
      <span className={classes.live} data-state={state} role="status">
        <span className={classes.dot} aria-hidden /> {label}
      </span>
    </Tooltip>
  );
}

/** The navigation: a sidebar, or a drawer on a narrow screen. */
export function Navigation() {
  const { clusterId } = useParams({ strict: false });
  const session = useSession();
  return (
    <div className={classes.column}>
      <div className={classes.head}>
        <Logo />
      </div>
      {clusterId ? (
        <ClusterItems id={clusterId} />
      ) : (
        <>
          <div className={classes.subject}>
            <span className={classes.organization} title="Organization">
              {session?.organization.name}
            </span>
          </div>
          <nav aria-label="Organization">
            <ul className={classes.list}>
              {ORGANIZATION.map((item) => (
                <NavigationItem key={item.to} item={item} />
              ))}
            </ul>
          </nav>
        </>
      )}
      <div className={classes.foot}>
        <LiveIndicator />
        <UserMenu />
      </div>
    </div>
  );
}
