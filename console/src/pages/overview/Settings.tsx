import { Anchor, Badge, Group, Switch, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import type { Cluster } from "../../api/client";
import { useFolders } from "../../api/queries";
import { Copy } from "../../components/Copy";
import { TimeAgo } from "../../components/TimeAgo";
import { useUpdateCluster } from "../../components/cluster/changes";
import { CLOUD, PLAN, amount, folderPath } from "../../components/cluster/words";
import { bytes, count } from "../../components/time";
import type { Edit } from "./index";
import classes from "./overview.module.css";

interface Props {
  cluster: Cluster;
  mayChange: boolean;
  onEdit: (edit: Edit) => void;
}

function capacity({ plan, config }: Cluster): string {
  const limits = config.serverless?.usage_limits;
  if (plan === "STANDARD") return `${limits?.provisioned_virtual_cpus ?? "?"} vCPUs`;
  if (config.dedicated) {
    const { num_virtual_cpus: cpus, memory_gib: memory, storage_gib: storage, machine_type: type } = config.dedicated;
    return `${cpus} vCPUs, ${memory} GiB memory, ${storage} GiB storage (${type})`;
  }
  const units = amount(limits?.request_unit_limit);
  const storage = amount(limits?.storage_mib_limit);
  if (units === null && storage === null) return "No limits";
  return [
    units === null ? "no limit on request units" : `${count(units)} RU a month`,
    storage === null ? "no limit on storage" : `${bytes(storage * 1024 * 1024)} storage`,
  ].join(", ");
}

function Line({ name, children, edit }: { name: string; children: ReactNode; edit?: () => void }) {
  return (
    <div className={classes.line}>
      <dt>{name}</dt>
      <dd>
        <span className={classes.lineValue}>{children}</span>
        {edit && (
          <Anchor component="button" type="button" size="sm" onClick={edit} aria-label={`Edit ${name.toLowerCase()}`}>
            Edit
          </Anchor>
        )}
      </dd>
    </div>
  );
}

function Labels({ labels }: { labels: Record<string, string> }) {
  const entries = Object.entries(labels);
  if (entries.length === 0)
    return (
      <Text span c="dimmed" size="sm">
        None
      </Text>
    );
  return (
    <Group gap={6}>
      {entries.map(([key, value]) => (
        <Badge key={key} variant="default" radius="sm" tt="none" fw={500}>
          {value ? `${key}: ${value}` : key}
        </Badge>
      ))}
    </Group>
  );
}

/** The settings, each with its way to change it. */
export function Settings({ cluster, mayChange, onEdit }: Props) {
  const folders = useFolders().data ?? [];
  const protect = useUpdateCluster(cluster, "Delete protection is changed");
  const upgrades = useUpdateCluster(cluster, "The way of upgrading is changed");
  const edit = (what: Edit) => (mayChange ? () => onEdit(what) : undefined);
  const { serverless } = cluster.config;
  return (
    <section className={`panel ${classes.box}`} aria-labelledby="settings">
      <Title order={2} id="settings">
        Settings
      </Title>
      <dl className={classes.lines}>
        <Line name="Plan">{PLAN[cluster.plan]}</Line>
        <Line name="Regions">
          {CLOUD[cluster.cloud_provider]}:{" "}
          {cluster.regions.map(({ name, primary }) => (primary ? `${name} (primary)` : name)).join(", ")}
        </Line>
        <Line name="Capacity" edit={edit("limits")}>
          {capacity(cluster)}
        </Line>
        <Line name="Labels" edit={edit("labels")}>
          <Labels labels={cluster.labels} />
        </Line>
        <Line name="Folder" edit={edit("move")}>
          {folderPath(folders, cluster.parent_id) || "None"}
        </Line>
        <Line name="Delete protection">
          <Switch
            aria-label="Delete protection"
            checked={cluster.delete_protection === "ENABLED"}
            disabled={!mayChange || protect.isPending}
            onChange={(event) =>
              protect.mutate({ delete_protection: event.currentTarget.checked ? "ENABLED" : "DISABLED" })
            }
          />
        </Line>
        {cluster.plan === "STANDARD" && serverless && (
          <Line name="Major upgrades">
            <Switch
              label={serverless.upgrade_type === "MANUAL" ? "Started by you" : "Automatic"}
              aria-label="Automatic major upgrades"
              checked={serverless.upgrade_type === "AUTOMATIC"}
              disabled={!mayChange || upgrades.isPending}
              onChange={(event) =>
                upgrades.mutate({ serverless: { upgrade_type: event.currentTarget.checked ? "AUTOMATIC" : "MANUAL" } })
              }
            />
          </Line>
        )}
        <Line name="Version">
          {cluster.cockroach_version}
          {cluster.ootheca.engine && <Text span c="dimmed" size="sm">{` · ${cluster.ootheca.engine}`}</Text>}
        </Line>
        <Line name="Address">
          <Copy value={cluster.sql_dns} label="Copy the address" inline />
        </Line>
        <Line name="Id">
          <Copy value={cluster.id} label="Copy the id" inline />
        </Line>
        <Line name="Created">
          <TimeAgo time={cluster.created_at} />
        </Line>
      </dl>
    </section>
  );
}
