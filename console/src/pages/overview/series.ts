/** Which series the charts of a cluster show. */
import type { Cluster } from "../../api/client";
import type { Samples } from "../../api/extensions";
import type { Series } from "../../components/Chart";
import { amount } from "../../components/cluster/words";

type Values = (number | null)[];

/** A series, or nothing on each of the times. */
export function named(samples: Samples, name: string): Values {
  return samples.series[name] ?? samples.times.map(() => null);
}

/** The sum of all series whose names begin so; nothing where none of them has a value. */
export function sum(samples: Samples, prefix: string): Values {
  const parts = Object.entries(samples.series).filter(([name]) => name === prefix || name.startsWith(`${prefix}.`));
  return samples.times.map((_, index) => {
    const known = parts.map(([, values]) => values[index]).filter((value) => value != null);
    return known.length > 0 ? known.reduce((total, value) => total + value, 0) : null;
  });
}

/** A limit as a line. */
export function limit(samples: Samples, label: string, value: number | null): Series[] {
  return value === null ? [] : [{ label, values: samples.times.map(() => value), dashed: true }];
}

const MIB = 1024 * 1024;

export function storageLimit(cluster: Cluster): number | null {
  const mib = amount(cluster.config.serverless?.usage_limits?.storage_mib_limit);
  if (mib !== null) return mib * MIB;
  const { dedicated } = cluster.config;
  return dedicated ? dedicated.storage_gib * 1024 * MIB : null;
}

export function cpuLimit(cluster: Cluster): number | null {
  const provisioned = amount(cluster.config.serverless?.usage_limits?.provisioned_virtual_cpus);
  return provisioned ?? cluster.config.dedicated?.num_virtual_cpus ?? null;
}
