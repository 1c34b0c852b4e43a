import { Switch, Text, Title } from "@mantine/core";
import type { Cluster } from "../../api/client";
import { useFolders } from "../../api/queries";
import { CopyButton } from "../../components/CopyButton";
import { DescriptionList } from "../../components/DescriptionList";
import { RelativeTime } from "../../components/RelativeTime";
import { CLOUD_NAMES, folderPath, limitsOf, MIB, PLAN_NAMES } from "../../features/cluster/format";
import { Labels } from "../../features/cluster/Labels";
import { useUpdateCluster } from "../../features/cluster/mutations";
import { formatBytes, formatNumber } from "../../lib/format";
import type { Dialog } from "./index";
import classes from "./overview.module.css";

interface Props {
  cluster: Cluster;
  canEdit: boolean;
  onEdit: (dialog: Dialog) => void;
}

function capacityOf(cluster: Cluster): string {
  const { plan, config } = cluster;
  const { requestUnits, storageMib, vcpus } = limitsOf(cluster);
  if (plan === "STANDARD") return `${vcpus ?? "?"} vCPUs`;
  if (config.dedicated) {
    const {
      num_virtual_cpus: nodeVcpus,
      memory_gib: memory,
      storage_gib: storage,
      machine_type: type,
    } = config.dedicated;
    return `${nodeVcpus} vCPUs, ${memory} GiB memory, ${storage} GiB storage (${type})`;
  }
  if (requestUnits === null && storageMib === null) return "No limits";
  return [
    requestUnits === null ? "No limit on request units" : `${formatNumber(requestUnits)} RU per month`,
    storageMib === null ? "no limit on storage" : `${formatBytes(storageMib * MIB)} storage`,
  ].join(", ");
}

function regionsOf(cluster: Cluster): string {
  const names = cluster.regions.map(({ name, primary }) => (primary ? `${name} (primary)` : name));
  return `${CLOUD_NAMES[cluster.cloud_provider]}: ${names.join(", ")}`;
}

/** The settings of the cluster. */
export function Settings({ cluster, canEdit, onEdit }: Props) {
  const folders = useFolders().data ?? [];
  const edit = (dialog: Dialog) => (canEdit ? () => onEdit(dialog) : undefined);
  return (
    <section className={`panel ${classes.box}`} aria-labelledby="settings">
      <Title order={2} id="settings">
        Settings
      </Title>
      <DescriptionList
        variant="rows"
        items={[
          { term: "Plan", value: PLAN_NAMES[cluster.plan] },
          { term: cluster.regions.length > 1 ? "Regions" : "Region", value: regionsOf(cluster) },
          { term: "Capacity", value: capacityOf(cluster), onEdit: edit("limits") },
          { term: "Labels", value: <Labels labels={cluster.labels} empty="None" />, onEdit: edit("labels") },
          { term: "Folder", value: folderPath(folders, cluster.parent_id) || "None", onEdit: edit("move") },
          { term: "Delete protection", value: <DeleteProtection cluster={cluster} canEdit={canEdit} /> },
          cluster.plan === "STANDARD" && {
            term: "Major upgrades",
            value: <UpgradeType cluster={cluster} canEdit={canEdit} />,
          },
          { term: "Version", value: <Version cluster={cluster} /> },
          { term: "SQL address", value: <CopyButton value={cluster.sql_dns} label="Copy SQL address" inline /> },
          { term: "ID", value: <CopyButton value={cluster.id} label="Copy ID" inline /> },
          { term: "Created", value: <RelativeTime time={cluster.created_at} /> },
          cluster.expires_at && cluster.state !== "CREATION_FAILED"
            ? { term: "Expires", value: <RelativeTime time={cluster.expires_at} future /> }
            : undefined,
        ]}
      />
    </section>
  );
}

function Version({ cluster }: { cluster: Cluster }) {
  return (
    <>
      {cluster.cockroach_version}
      {cluster.ootheca.engine && (
        <Text span c="dimmed" size="sm">
          {` · ${cluster.ootheca.engine}`}
        </Text>
      )}
    </>
  );
}

interface SwitchProps {
  cluster: Cluster;
  canEdit: boolean;
}

function DeleteProtection({ cluster, canEdit }: SwitchProps) {
  const enabled = cluster.delete_protection === "ENABLED";
  const update = useUpdateCluster(cluster, {
    successMessage: (updated) =>
      updated.delete_protection === "ENABLED" ? "Delete protection turned on" : "Delete protection turned off",
    errorTitle: "Couldn't update delete protection",
  });
  return (
    <Switch
      label={enabled ? "On" : "Off"}
      aria-label="Delete protection"
      checked={enabled}
      disabled={!canEdit || update.isPending}
      onChange={(event) => update.mutate({ delete_protection: event.currentTarget.checked ? "ENABLED" : "DISABLED" })}
    />
  );
}

function UpgradeType({ cluster, canEdit }: SwitchProps) {
  const automatic = cluster.config.serverless?.upgrade_type === "AUTOMATIC";
  const update = useUpdateCluster(cluster, {
    successMessage: "Upgrade setting updated",
    errorTitle: "Couldn't update the upgrade setting",
  });
  return (
    <Switch
      label={automatic ? "Automatic" : "Manual"}
      aria-label="Automatic major upgrades"
      checked={automatic}
      disabled={!canEdit || update.isPending}
      onChange={(event) =>
        update.mutate({ serverless: { upgrade_type: event.currentTarget.checked ? "AUTOMATIC" : "MANUAL" } })
      }
    />
  );
}
