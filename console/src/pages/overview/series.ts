/** The series of the charts. */

import type { Samples } from "../../api/extensions";
import type { Series } from "../../components/Chart";

type Values = (number | null)[];

/** The values of a series, or null for each time if the series is missing. */
export function valuesOf(samples: Samples, name: string): Values {
  return samples.series[name] ?? samples.times.map(() => null);
}

/** The sum of a series and its components; null if none of them has a value. */
export function sum(samples: Samples, prefix: string): Values {
  const parts = Object.entries(samples.series).filter(([name]) => name === prefix || name.startsWith(`${prefix}.`));
  return samples.times.map((_, index) => {
    const known = parts.map(([, values]) => values[index]).filter((value) => value != null);
    return known.length > 0 ? known.reduce((total, value) => total + value, 0) : null;
  });
}

/** A limit as a dashed line. */
export function limit(samples: Samples, label: string, value: number | null): Series[] {
  return value === null ? [] : [{ label, values: samples.times.map(() => value), dashed: true }];
}
