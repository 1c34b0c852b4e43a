import { Group, Text, Title } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import type { Cluster } from "../../api/client";
import type { Samples } from "../../api/extensions";
import { useSamples } from "../../api/queries";
import { Chart, type ChartProps } from "../../components/Chart";
import { ErrorAlert } from "../../components/ErrorAlert";
import { TimeRangeControl } from "../../components/TimeRangeControl";
import { limitsOf, MIB } from "../../features/cluster/format";
import { chartRange, DEFAULT_CHART_RANGE } from "../../lib/time-ranges";
import { formatBytes, formatMeasurement, formatNumber } from "../../lib/format";
import { limit, sum, valuesOf } from "./series";
import classes from "./overview.module.css";

const NO_SAMPLES: Samples = { from: 0, to: 0, step_seconds: 0, times: [], series: {} };

function chartsOf(cluster: Cluster, samples: Samples): ChartProps[] {
  const { times } = samples;
  const limits = limitsOf(cluster);
  const usage: ChartProps =
    cluster.plan === "BASIC"
      ? {
          title: "Request units",
          times,
          format: (value) => `${formatMeasurement(value)}/s`,
          series: [{ label: "Request units", values: sum(samples, "request_units"), area: true }],
        }
      : {
          title: "vCPUs in use",
          times,
          series: [
            { label: "In use", values: valuesOf(samples, "cpu"), area: true },
            ...limit(samples, "Provisioned", limits.vcpus),
          ],
        };
  return [
    {
      title: "Connections",
      times,
      format: formatNumber,
      series: [{ label: "Connections", values: valuesOf(samples, "connections"), area: true }],
    },
    {
      title: "Transactions",
      times,
      format: (value) => `${formatMeasurement(value)}/s`,
      series: [{ label: "Transactions", values: valuesOf(samples, "statements"), color: 1, area: true }],
    },
    usage,
    {
      title: "Storage",
      times,
      format: formatBytes,
      binary: true,
      series: [
        { label: "Data", values: valuesOf(samples, "storage_bytes"), color: 2, area: true },
        ...limit(samples, "Limit", limits.storageMib === null ? null : limits.storageMib * MIB),
      ],
    },
  ];
}

/** The recent activity of the cluster. */
export function Charts({ cluster }: { cluster: Cluster }) {
  const { range: value } = useSearch({ strict: false });
  const navigate = useNavigate();
  const range = chartRange(value);
  const { data, error, isPending, refetch } = useSamples(cluster.id, range.seconds);
  const choose = (value: string) =>
    void navigate({
      to: ".",
      search: (previous) => ({ ...previous, range: value === DEFAULT_CHART_RANGE ? undefined : value }),
      replace: true,
      resetScroll: false,
    });
  return (
    <section aria-labelledby="activity" className={classes.activity}>
      <Group justify="space-between">
        <Title order={2} id="activity">
          Activity
        </Title>
        <TimeRangeControl value={range.value} onChange={choose} />
      </Group>
      {error && <ErrorAlert title="Couldn't load the charts" error={error} retry={() => void refetch()} />}
      {data === null ? (
        <Text size="sm" c="dimmed">
          Charts aren't available, because this server doesn't collect metrics.
        </Text>
      ) : (
        <div className={classes.charts}>
          {chartsOf(cluster, data ?? NO_SAMPLES).map((chart) => (
            <Chart key={chart.title} {...chart} group="overview" loading={isPending} />
          ))}
        </div>
      )}
    </section>
  );
}
