/** The metrics of a cluster: charts over one time, with one cursor; the tab and the time are in the URL. */
import { Button, Group, Tabs, Text, TextInput } from "@mantine/core";
import { IconChartLine, IconDownload } from "@tabler/icons-react";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import type { Cluster } from "../../api/client";
import type { Samples } from "../../api/extensions";
import { Chart } from "../../components/Chart";
import { ClusterPage } from "../../components/ClusterPage";
import { Empty } from "../../components/Empty";
import { ErrorNote } from "../../components/ErrorNote";
import { TimeRange } from "../../components/TimeRange";
import { useMetrics } from "./data";
import { csv, formatted, graphs, isEmpty, type Graph, type Tab } from "./graphs";
import classes from "./metrics.module.css";
import { CHOICES, searchFor, spanOf, type Span } from "./range";
import { SummaryTable } from "./SummaryTable";

const TABS: Tab[] = ["overview", "sql", "capacity"];

export default function Metrics() {
  return (
    <ClusterPage title="Metrics" text="Sampled every ten seconds while the cluster is awake, and kept for 90 days.">
      {(cluster) => <Charts cluster={cluster} />}
    </ClusterPage>
  );
}

function Charts({ cluster }: { cluster: Cluster }) {
  const { clusterId = cluster.id } = useParams({ strict: false });
  const search = useSearch({ strict: false });
  const navigate = useNavigate();
  const span = spanOf(search);
  const tab = TABS.find((tab) => tab === search.tab) ?? "overview";
  const metrics = useMetrics(cluster.id, span);
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
        <div className={classes.range}>
          <TimeRange
            value={span.value}
            onChange={(value) => change(searchFor(value, span, Date.now()))}
            ranges={CHOICES}
          />
        </div>
        {span.fixed && <Moments span={span} onChange={change} />}
        <Button
          variant="default"
          size="xs"
          leftSection={<IconDownload size={14} aria-hidden />}
          disabled={!metrics.data}
          onClick={() => metrics.data && download(`${cluster.name}-${span.value}.csv`, csv(metrics.data))}
        >
          CSV
        </Button>
      </div>
      <Tabs.Panel value={tab}>
        {metrics.error ? (
          <ErrorNote error={metrics.error} retry={() => void metrics.refetch()} />
        ) : metrics.data === null ? (
          <Empty icon={IconChartLine} title="This server keeps no samples" text="A newer version of it does." />
        ) : (
          <Panel cluster={cluster} tab={tab} samples={metrics.data} />
        )}
      </Tabs.Panel>
    </Tabs>
  );
}

const NOTHING: Samples = { from: 0, to: 0, step_seconds: 0, times: [], series: {} };

function Panel({ cluster, tab, samples }: { cluster: Cluster; tab: Tab; samples?: Samples }) {
  const shown = graphs(tab, cluster.plan, samples ?? NOTHING);
  const asleep = samples !== undefined && isEmpty(samples);
  return (
    <div className={classes.panel}>
      {asleep && (
        <Text size="sm" c="dimmed" role="status">
          {cluster.ootheca.suspended
            ? "The cluster slept all this time. It costs nothing then, and has no samples. Connect to it to wake it."
            : "There are no samples of this time yet. The first ones come within a minute; or choose a longer time."}
        </Text>
      )}
      <div className={classes.grid}>
        {shown.map((graph) => (
          <GraphView key={graph.id} graph={graph} samples={samples} />
        ))}
      </div>
      {samples && !asleep && <SummaryTable graphs={shown} samples={samples} />}
    </div>
  );
}

function GraphView({ graph, samples }: { graph: Graph; samples?: Samples }) {
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
      format={(value) => formatted(value, graph.unit)}
      height={190}
      group="metrics"
      loading={samples === undefined}
      empty="Nothing in this time"
    />
  );
}

/** Two moments, in the reader's own time zone. */
function Moments({ span, onChange }: { span: Span; onChange: (change: Record<string, string>) => void }) {
  const { from = 0, to = 0 } = span.fixed ?? {};
  const take = (name: "from" | "to", text: string) => {
    const time = Date.parse(text);
    if (!Number.isNaN(time)) onChange({ [name]: new Date(time).toISOString() });
  };
  return (
    <Group gap="xs">
      <TextInput
        size="xs"
        type="datetime-local"
        aria-label="From"
        max={local(to)}
        value={local(from)}
        onChange={(event) => take("from", event.currentTarget.value)}
      />
      <Text size="sm" c="dimmed" aria-hidden>
        to
      </Text>
      <TextInput
        size="xs"
        type="datetime-local"
        aria-label="To"
        min={local(from)}
        value={local(to)}
        onChange={(event) => take("to", event.currentTarget.value)}
      />
    </Group>
  );
}

function local(time: number): string {
  const date = new Date(time);
  return new Date(time - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function download(name: string, text: string) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
