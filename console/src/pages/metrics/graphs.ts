/** Which graphs each tab shows, and which series each graph is made of. */
import type { Samples } from "../../api/extensions";
import { bytes } from "../../components/time";

export type Unit = "count" | "perSecond" | "milliseconds" | "cores" | "bytes" | "requestUnits";

export type Line = { name: string; label: string; values: (number | null)[] };

export type Graph = { id: string; title: string; about: string; unit: Unit; lines: Line[] };

export type Tab = "overview" | "sql" | "capacity";

/** Batches, requests and bytes of reads are one line, and so are those of writes. */
const COMPONENTS: Record<string, string> = { cpu: "CPU", egress: "Egress", read: "Reads", write: "Writes" };

type Kind = { id: string; title: string; about: string; unit: Unit; series?: string };

const KINDS: Record<string, Kind> = {
  connections: {
    id: "connections",
    title: "SQL connections",
    about: "Open connections through the gateway",
    unit: "count",
    series: "connections",
  },
  statements: {
    id: "statements",
    title: "SQL statements",
    about: "Statements a second",
    unit: "perSecond",
    series: "statements",
  },
  latency: {
    id: "latency",
    title: "Transaction latency",
    about: "Mean time of a transaction",
    unit: "milliseconds",
    series: "latency_ms",
  },
  units: { id: "units", title: "Request units", about: "Request units a second, all components", unit: "requestUnits" },
  components: {
    id: "components",
    title: "By component",
    about: "Request units a second",
    unit: "requestUnits",
  },
  cpu: { id: "cpu", title: "CPU", about: "Cores in use", unit: "cores", series: "cpu" },
  storage: { id: "storage", title: "Storage", about: "Data on disk", unit: "bytes", series: "storage_bytes" },
};

/** The graphs of a tab for a cluster of `plan`. */
export function kindsOf(tab: Tab, plan: string): string[] {
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

/** The parts of the request units, related ones added up. */
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

/** The sum of all lines at each moment; nothing where none has a value. */
export function sum(lines: Line[], length: number): (number | null)[] {
  return Array.from({ length }, (_, index) => {
    const values = lines.map((line) => line.values[index] ?? null).filter((value) => value !== null);
    return values.length === 0 ? null : values.reduce((total, value) => total + value, 0);
  });
}

function linesOf(kind: Kind, samples: Samples): Line[] {
  if (kind.id === "components") return components(samples);
  if (kind.id === "units") {
    const whole = samples.series.request_units;
    return [
      {
        name: "request_units",
        label: "Request units",
        values: whole ?? sum(components(samples), samples.times.length),
      },
    ];
  }
  const values = kind.series === undefined ? undefined : samples.series[kind.series];
  return [{ name: kind.series ?? kind.id, label: kind.title, values: values ?? samples.times.map(() => null) }];
}

export function graphs(tab: Tab, plan: string, samples: Samples): Graph[] {
  return kindsOf(tab, plan).flatMap((name) => {
    const kind = KINDS[name];
    return kind ? [{ ...kind, lines: linesOf(kind, samples) }] : [];
  });
}

export type Summary = { least: number | null; mean: number | null; most: number | null; last: number | null };

export function summary(values: (number | null)[]): Summary {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return { least: null, mean: null, most: null, last: null };
  const total = known.reduce((sum, value) => sum + value, 0);
  return {
    least: known.reduce((least, value) => Math.min(least, value)),
    mean: total / known.length,
    most: known.reduce((most, value) => Math.max(most, value)),
    last: known.at(-1) ?? null,
  };
}

/** Whether nothing at all is known: the cluster slept, or did not exist. */
export const isEmpty = (samples: Samples) =>
  Object.values(samples.series).every((values) => values.every((value) => value === null));

/** A value as people read it. */
export function formatted(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined) return "–";
  switch (unit) {
    case "bytes":
      return bytes(value);
    case "milliseconds":
      return value >= 1000 ? `${digits(value / 1000)} s` : `${digits(value)} ms`;
    case "perSecond":
      return `${digits(value)}/s`;
    case "requestUnits":
      return `${digits(value)} RU/s`;
    case "cores":
      return `${digits(value)} cores`;
    case "count":
      return digits(value);
  }
}

function digits(value: number): string {
  const places = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en", { maximumFractionDigits: places });
}

/** Every series, a row a moment, for spreadsheets. */
export function csv(samples: Samples): string {
  const names = Object.keys(samples.series).sort();
  const rows = samples.times.map((time, index) => {
    const values = names.map((name) => samples.series[name]?.[index] ?? "");
    return [new Date(time * 1000).toISOString(), ...values].join(",");
  });
  return [["time", ...names].join(","), ...rows].join("\n") + "\n";
}
