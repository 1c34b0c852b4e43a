/** The graphs of each tab, and the series of each graph. */
import type { Samples } from "../../api/extensions";
import { formatBytes, formatMeasurement } from "../../lib/format";

export type Unit = "count" | "perSecond" | "milliseconds" | "cores" | "bytes" | "requestUnits";

export type Line = { name: string; label: string; values: (number | null)[] };

export type Graph = { id: string; title: string; unit: Unit; lines: Line[] };

export type Tab = "overview" | "sql" | "capacity";

/** The components of request units. Batches, requests, and bytes of reads are one line, and so are those of writes. */
const COMPONENTS: Record<string, string> = { cpu: "CPU", egress: "Egress", read: "Reads", write: "Writes" };

type Definition = { id: string; title: string; unit: Unit; series?: string };

const DEFINITIONS: Record<string, Definition> = {
  connections: {
    id: "connections",
    title: "SQL connections",
    unit: "count",
    series: "connections",
  },
  statements: {
    id: "statements",
    title: "Transactions",
    unit: "perSecond",
    series: "statements",
  },
  latency: {
    id: "latency",
    title: "Transaction latency",
    unit: "milliseconds",
    series: "latency_ms",
  },
  units: { id: "units", title: "Request units", unit: "requestUnits" },
  components: {
    id: "components",
    title: "Request units by component",
    unit: "requestUnits",
  },
  cpu: { id: "cpu", title: "CPU", unit: "cores", series: "cpu" },
  storage: { id: "storage", title: "Storage", unit: "bytes", series: "storage_bytes" },
};

/** The graphs of a tab for a plan. */
export function graphsOfTab(tab: Tab, plan: string): string[] {
  const basic = plan === "BASIC";
  switch (tab) {
    case "overview":
      return ["connections", "statements", "latency", basic ? "units" : "cpu", "storage"];
    case "sql":
      return ["connections", "statements", "latency"];
    case "capacity":
      return basic ? ["units", "components", "cpu", "storage"] : ["cpu", "storage"];
  }
}

/** The request units by component. */
export function components(samples: Samples): Line[] {
  const groups = new Map<string, Line[]>();
  for (const [name, values] of Object.entries(samples.series)) {
    const part = /^request_units\.([a-z]+)/.exec(name)?.[1];
    if (part) groups.set(part, [...(groups.get(part) ?? []), { name, label: part, values }]);
  }
  return [...groups].map(([part, lines]) => ({
    name: `request_units.${part}`,
    label: COMPONENTS[part] ?? part,
    values: sum(lines, samples.times.length),
  }));
}

/** The sum of all lines at each time; null if no line has a value. */
export function sum(lines: Line[], length: number): (number | null)[] {
  return Array.from({ length }, (_, index) => {
    const values = lines.map((line) => line.values[index] ?? null).filter((value) => value !== null);
    return values.length === 0 ? null : values.reduce((total, value) => total + value, 0);
  });
}

function linesOf(definition: Definition, samples: Samples): Line[] {
  if (definition.id === "components") return components(samples);
  if (definition.id === "units") {
    const whole = samples.series.request_units;
    return [
      {
        name: "request_units",
        label: "Request units",
        values: whole ?? sum(components(samples), samples.times.length),
      },
    ];
  }
  const values = definition.series === undefined ? undefined : samples.series[definition.series];
  return [
    {
      name: definition.series ?? definition.id,
      label: definition.title,
      values: values ?? samples.times.map(() => null),
    },
  ];
}

export function graphs(tab: Tab, plan: string, samples: Samples): Graph[] {
  return graphsOfTab(tab, plan).flatMap((name) => {
    const definition = DEFINITIONS[name];
    return definition ? [{ ...definition, lines: linesOf(definition, samples) }] : [];
  });
}

export type Summary = { min: number | null; average: number | null; max: number | null; last: number | null };

export function summarize(values: (number | null)[]): Summary {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return { min: null, average: null, max: null, last: null };
  const total = known.reduce((sum, value) => sum + value, 0);
  return {
    min: known.reduce((min, value) => Math.min(min, value)),
    average: total / known.length,
    max: known.reduce((max, value) => Math.max(max, value)),
    last: known.at(-1) ?? null,
  };
}

/** Whether no series has a value: the cluster was suspended or didn't exist. */
export const isEmpty = (samples: Samples) =>
  Object.values(samples.series).every((values) => values.every((value) => value === null));

/** A value with its unit. */
export function formatValue(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined) return "–";
  switch (unit) {
    case "bytes":
      return formatBytes(value);
    case "milliseconds":
      return value >= 1000 ? `${formatMeasurement(value / 1000)} s` : `${formatMeasurement(value)} ms`;
    case "perSecond":
      return `${formatMeasurement(value)}/s`;
    case "requestUnits":
      return `${formatMeasurement(value)} RU/s`;
    case "cores":
      return `${formatMeasurement(value)} cores`;
    case "count":
      return formatMeasurement(value);
  }
}

/** All series as CSV, one row for each time. */
export function csv(samples: Samples): string {
  const names = Object.keys(samples.series).sort();
  const rows = samples.times.map((time, index) => {
    const values = names.map((name) => samples.series[name]?.[index] ?? "");
    return [new Date(time * 1000).toISOString(), ...values].join(",");
  });
  return [["time", ...names].join(","), ...rows].join("\n") + "\n";
}
