import { Skeleton, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { api, unwrap, type Cluster } from "../../api/client";
import { keys } from "../../api/queries";
import { ErrorAlert } from "../../components/ErrorAlert";
import { formatBytes } from "../../lib/format";
import classes from "./overview.module.css";

const ROLES = { PRIMARY: "Primary", STANDBY: "Standby", NONE: "Stopped" };

/** The nodes of the cluster. */
export function Nodes({ cluster }: { cluster: Cluster }) {
  const { data, error, isPending } = useQuery({
    queryKey: keys.nodes(cluster.id),
    queryFn: async ({ signal }) => {
      const params = { path: { cluster_id: cluster.id }, query: { "pagination.limit": 200 } };
      return (await unwrap(api.GET("/api/v1/clusters/{cluster_id}/nodes", { params, signal }))).nodes;
    },
    refetchInterval: 15_000,
  });
  return (
    <section className={`panel ${classes.box}`} aria-labelledby="nodes">
      <Title order={2} id="nodes">
        Nodes
      </Title>
      {isPending && <Skeleton height={40} />}
      {error && <ErrorAlert title="Couldn't load the nodes" error={error} />}
      {data?.length === 0 && (
        <Text size="sm" c="dimmed">
          {cluster.ootheca.suspended ? "The cluster is suspended and has no running nodes." : "No nodes are running."}
        </Text>
      )}
      {data && data.length > 0 && (
        <ul className={classes.nodes}>
          {data.map(({ name, region_name: region, status, ootheca: { role, lag_bytes: lag } }) => (
            <li key={name}>
              <span className={classes.nodeDot} data-live={status === "LIVE" || undefined} aria-hidden />
              <span className={classes.nodeName}>{name}</span>
              {data.length > 1 && (
                <Text span size="sm">
                  {ROLES[role]}
                  {lag && ` · ${formatBytes(Number(lag))} behind`}
                </Text>
              )}
              <Text span size="sm" c="dimmed">
                {region} · {status === "LIVE" ? "Live" : "Not ready"}
              </Text>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
