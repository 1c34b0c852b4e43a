import { Progress } from "@mantine/core";
import type { Cluster } from "../../api/client";
import { amount } from "../../components/cluster/words";
import { bytes, count } from "../../components/time";
import classes from "./overview.module.css";

interface Stat {
  name: string;
  value: string;
  below?: string;
  percent?: number | null;
}

const MIB = 1024 * 1024;

function statsOf(cluster: Cluster): Stat[] {
  const { usage } = cluster.ootheca;
  const limits = cluster.config.serverless?.usage_limits;
  const cpus = amount(limits?.provisioned_virtual_cpus) ?? cluster.config.dedicated?.num_virtual_cpus ?? null;
  const units = amount(limits?.request_unit_limit);
  const storageMib =
    amount(limits?.storage_mib_limit) ??
    (cluster.config.dedicated ? cluster.config.dedicated.storage_gib * 1024 : null);
  const stats: Stat[] = [{ name: "Connections", value: count(usage.connections), below: "open now" }];
  if (cluster.plan === "BASIC") {
    stats.push({
      name: "Request units",
      value: count(Math.round(usage.request_units.total)),
      below: units === null ? `in ${usage.month}, no limit` : `of ${count(units)} in ${usage.month}`,
      percent: units === null ? null : (usage.request_units.total / units) * 100,
    });
  }
  stats.push({
    name: "vCPUs",
    value: count(Number(usage.virtual_cpus.toFixed(2))),
    below: cpus === null ? "busy now" : `busy, of ${cpus}`,
    percent: cpus === null ? null : (usage.virtual_cpus / cpus) * 100,
  });
  stats.push({
    name: "Storage",
    value: bytes(usage.storage_mib * MIB),
    below: storageMib === null ? "no limit" : `of ${bytes(storageMib * MIB)}`,
    percent: storageMib === null ? null : (usage.storage_mib / storageMib) * 100,
  });
  return stats;
}

function colorOf(percent: number): string {
  return percent >= 100 ? "red.7" : percent >= 80 ? "orange.7" : "brand";
}

/** What it uses at the moment, against what it may. */
export function Stats({ cluster }: { cluster: Cluster }) {
  return (
    <dl className={classes.stats}>
      {statsOf(cluster).map(({ name, value, below, percent }) => (
        <div key={name} className={`panel ${classes.stat}`}>
          <dt>{name}</dt>
          <dd className="tabular">
            <span className={classes.value}>{value}</span> <span className={classes.below}>{below}</span>
          </dd>
          {percent != null && (
            <dd className={classes.bar}>
              <Progress.Root size={5}>
                <Progress.Section
                  value={Math.min(100, percent)}
                  color={colorOf(percent)}
                  aria-label={`${name}: ${Math.round(percent)} % of the limit`}
                />
              </Progress.Root>
            </dd>
          )}
        </div>
      ))}
    </dl>
  );
}
