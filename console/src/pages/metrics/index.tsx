/** The metrics of a cluster. The tab and the time window are in the URL. */
import { Button, Group, Tabs, Text, TextInput } from "@mantine/core";
import { IconChartLine, IconDownload } from "@tabler/icons-react";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import type { Cluster } from "../../api/client";
import type { Samples } from "../../api/extensions";
import { Chart } from "../../components/Chart";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { TimeRangeControl } from "../../components/TimeRangeControl";
import { ClusterPage } from "../../features/cluster/ClusterPage";
import { downloadCsv } from "../../lib/download";
import { toLocalInput } from "../../lib/format";
import { useMetrics } from "./data";
import { csv, formatValue, graphs, isEmpty, type Graph, type Tab } from "./graphs";
import classes from "./metrics.module.css";
import { SummaryTable } from "./SummaryTable";
import { OPTIONS, searchFor, windowOf, type TimeWindow } from "./time-window";

const TABS: Tab[] = ["overview", "sql", "capacity"];

export default function Metrics() {
  return (
    <ClusterPage
      title="Metrics"
      text="Metrics are sampled every 10 seconds while the cluster is running, and kept for 90 days."
    >
      {(cluster) => <Charts cluster={cluster} />}
    </ClusterPage>
  );
}

function Charts({ cluster }: { cluster: Cluster }) {
  const { clusterId = cluster.id } = useParams({ strict: false });
  const search = useSearch({ strict: false });
  const navigate = useNavigate();
  const window = windowOf(search);
  const tab = TABS.find((tab) => tab === search.tab) ?? "overview";
  const metrics = useMetrics(cluster.id, window);
  const change = (change: Record<string, string | undefined>) => {
    const to = "/clusters/$clusterId/metrics";
    void navigate({ to, params: { clusterId }, search: { ...search, ...change }, replace: true });
  };
  return (
    <Tabs
      value={tab}
      onChange={(tab) => change({ tab: tab === "overview" || !tab ? undefined : tab })}
      keepMounted={false}
    >
      <Tabs.List>
        <Tabs.Tab value="overview">Overview</Tabs.Tab>
        <Tabs.Tab value="sql">SQL</Tabs.Tab>
        <Tabs.Tab value="capacity">{cluster.plan === "BASIC" ? "Request units" : "Compute"}</Tabs.Tab>
      </Tabs.List>
      <div className={classes.bar}>
        <TimeRangeControl
          value={window.value}
          onChange={(value) => change(searchFor(value, window, Date.now()))}
          ranges={OPTIONS}
        />
        {window.fixed && <CustomWindow window={window} onChange={change} />}
        <Button
          variant="default"
          size="xs"
          leftSection={<IconDownload size={14} aria-hidden />}
          disabled={!metrics.data}
          onClick={() => metrics.data && downloadCsv(`${cluster.name}-${window.value}.csv`, csv(metrics.data))}
        >
          Export CSV
        </Button>
      </div>
      <Tabs.Panel value={tab}>
        {metrics.error ? (
          <ErrorAlert title="Couldn't load metrics" error={metrics.error} retry={() => void metrics.refetch()} />
        ) : metrics.data === null ? (
          <EmptyState
            icon={IconChartLine}
            title="Metrics aren't available"
            text="Upgrade the server to a version that collects metrics."
          />
        ) : (
          <Panel cluster={cluster} tab={tab} samples={metrics.data} />
        )}
      </Tabs.Panel>
    </Tabs>
  );
}

const NO_SAMPLES: Samples = { from: 0, to: 0, step_seconds: 0, times: [], series: {} };

function Panel({ cluster, tab, samples }: { cluster: Cluster; tab: Tab; samples?: Samples }) {
  const shown = graphs(tab, cluster.plan, samples ?? NO_SAMPLES);
  const empty = samples !== undefined && isEmpty(samples);
  return (
    <div className={classes.panel}>
      {empty && (
        <Text size="sm" c="dimmed" role="status">
          {cluster.ootheca.suspended
            ? "The cluster was suspended during this time range. Connect to the cluster to resume it."
            : "No data in this time range. The first samples of a cluster appear within a minute."}
        </Text>
      )}
      <div className={classes.grid}>
        {shown.map((graph) => (
          <GraphChart key={graph.id} graph={graph} samples={samples} />
        ))}
      </div>
      {samples && !empty && <SummaryTable graphs={shown} samples={samples} />}
    </div>
  );
}

function GraphChart({ graph, samples }: { graph: Graph; samples?: Samples }) {
  return (
    <Chart
      title={graph.title}
      times={samples?.times ?? []}
      series={graph.lines.map(({ label, values }, index) => ({
        label,
        values,
        color: index,
        area: graph.lines.length === 1,
      }))}
      format={(value) => formatValue(value, graph.unit)}
      binary={graph.unit === "bytes"}
      height={190}
      group="metrics"
      loading={samples === undefined}
    />
  );
}

interface CustomWindowProps {
  window: TimeWindow;
  onChange: (change: Record<string, string>) => void;
}

/** The start and end of a custom window, in the time zone of the browser. */
function CustomWindow({ window, onChange }: CustomWindowProps) {
  const { from = 0, to = 0 } = window.fixed ?? {};
  const apply = (name: "from" | "to", text: string) => {
    const time = Date.parse(text);
    if (!Number.isNaN(time)) onChange({ [name]: new Date(time).toISOString() });
  };
  return (
    <Group gap="xs">
      <TextInput
        size="xs"
        type="datetime-local"
        aria-label="From"
        max={toLocalInput(to)}
        value={toLocalInput(from)}
        onChange={(event) => apply("from", event.currentTarget.value)}
      />
      <Text size="sm" c="dimmed" aria-hidden>
        to
      </Text>
      <TextInput
        size="xs"
        type="datetime-local"
        aria-label="To"
        min={toLocalInput(from)}
        value={toLocalInput(to)}
        onChange={(event) => apply("to", event.currentTarget.value)}
      />
    </Group>
  );
}
