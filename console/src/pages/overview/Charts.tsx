import { Group, Text, Title } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import type { Cluster } from "../../api/client";
import type { Samples } from "../../api/extensions";
import { useSamples } from "../../api/queries";
import { Chart, type ChartProps } from "../../components/Chart";
import { ErrorNote } from "../../components/ErrorNote";
import { RANGES, TimeRange, rangeOf } from "../../components/TimeRange";
import { bytes, count } from "../../components/time";
import { cpuLimit, limit, named, storageLimit, sum } from "./series";
import classes from "./overview.module.css";

const SHOWN = RANGES.slice(0, 5);
const NONE: Samples = { from: 0, to: 0, step_seconds: 0, times: [], series: {} };

function chartsOf(cluster: Cluster, samples: Samples): ChartProps[] {
  const { times } = samples;
  const work: ChartProps =
    cluster.plan === "BASIC"
      ? {
          title: "Request units",
          times,
          format: (value) => `${count(value)}/s`,
          series: [{ label: "Request units", values: sum(samples, "request_units"), area: true }],
        }
      : {
          title: "vCPUs busy",
          times,
          series: [
            { label: "Busy", values: named(samples, "cpu"), area: true },
            ...limit(samples, "Provisioned", cpuLimit(cluster)),
          ],
        };
  return [
    {
      title: "Connections",
      times,
      format: count,
      series: [{ label: "Connections", values: named(samples, "connections"), area: true }],
    },
    {
      title: "Statements",
      times,
      format: (value) => `${count(value)}/s`,
      series: [{ label: "Statements", values: named(samples, "statements"), color: 1, area: true }],
    },
    work,
    {
      title: "Storage",
      times,
      format: bytes,
      binary: true,
      series: [
        { label: "Data", values: named(samples, "storage_bytes"), color: 2, area: true },
        ...limit(samples, "Limit", storageLimit(cluster)),
      ],
    },
  ];
}

/** What happened in the last time; moves on by itself. */
export function Charts({ cluster }: { cluster: Cluster }) {
  const { range: wanted } = useSearch({ strict: false });
  const navigate = useNavigate();
  const range = rangeOf(wanted, SHOWN);
  const { data, error, isPending, refetch } = useSamples(cluster.id, range.seconds);
  const choose = (value: string) =>
    void navigate({ to: ".", search: (before) => ({ ...before, range: value }), replace: true, resetScroll: false });
  return (
    <section aria-labelledby="activity" className={classes.activity}>
      <Group justify="space-between">
        <Title order={2} id="activity">
          Activity
        </Title>
        <TimeRange value={range.value} onChange={choose} ranges={SHOWN} />
      </Group>
      {error && <ErrorNote error={error} retry={() => void refetch()} />}
      {data === null ? (
        <Text size="sm" c="dimmed">
          This server keeps no samples of its clusters, so there are no charts.
        </Text>
      ) : (
        <div className={classes.charts}>
          {chartsOf(cluster, data ?? NONE).map((chart) => (
            <Chart
              key={chart.title}
              {...chart}
              group="overview"
              loading={isPending}
              empty={
                cluster.ootheca.suspended ? "Asleep: nothing to show in this time" : "Nothing was seen in this time"
              }
            />
          ))}
        </div>
      )}
    </section>
  );
}
