import { Progress } from "@mantine/core";
import type { Cluster } from "../../api/client";
import { limitsOf, MIB } from "../../features/cluster/format";
import { formatBytes, formatMeasurement, formatMonth, formatNumber } from "../../lib/format";
import classes from "./overview.module.css";

interface Stat {
  name: string;
  value: string;
  detail?: string;
  percent?: number | null;
}

function statsOf(cluster: Cluster): Stat[] {
  const { usage } = cluster.ootheca;
  const { requestUnits, storageMib, vcpus } = limitsOf(cluster);
  const month = formatMonth(usage.month);
  const stats: Stat[] = [{ name: "Connections", value: formatNumber(usage.connections), detail: "current" }];
  if (cluster.plan === "BASIC") {
    stats.push({
      name: "Request units",
      value: formatNumber(Math.round(usage.request_units.total)),
      detail: requestUnits === null ? `in ${month}, no limit` : `of ${formatNumber(requestUnits)} in ${month}`,
      percent: requestUnits === null ? null : (usage.request_units.total / requestUnits) * 100,
    });
  }
  stats.push({
    name: "vCPUs",
    value: formatMeasurement(usage.virtual_cpus),
    detail: vcpus === null ? "current" : `of ${vcpus}`,
    percent: vcpus === null ? null : (usage.virtual_cpus / vcpus) * 100,
  });
  stats.push({
    name: "Storage",
    value: formatBytes(usage.storage_mib * MIB),
    detail: storageMib === null ? "no limit" : `of ${formatBytes(storageMib * MIB)}`,
    percent: storageMib === null ? null : (usage.storage_mib / storageMib) * 100,
  });
  return stats;
}

function colorOf(percent: number): string {
  return percent >= 100 ? "red.7" : percent >= 80 ? "orange.7" : "brand";
}

/** The current usage, compared with the limits. */
export function Stats({ cluster }: { cluster: Cluster }) {
  return (
    <dl className={classes.stats}>
      {statsOf(cluster).map(({ name, value, detail, percent }) => (
        <div key={name} className={`panel ${classes.stat}`}>
          <dt>{name}</dt>
          <dd className="tabular">
            <span className={classes.value}>{value}</span> <span className={classes.detail}>{detail}</span>
          </dd>
          {percent != null && (
            <dd className={classes.bar}>
              <Progress.Root size={5}>
                <Progress.Section
                  value={Math.min(100, percent)}
                  color={colorOf(percent)}
                  aria-label={`${name}: ${Math.round(percent)}% of the limit`}
                />
              </Progress.Root>
            </dd>
          )}
        </div>
      ))}
    </dl>
  );
}
