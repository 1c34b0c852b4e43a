import { Skeleton } from "@mantine/core";
import { useParams } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Cluster } from "../../api/client";
import { useCluster } from "../../api/queries";
import { ErrorAlert } from "../../components/ErrorAlert";
import { Page } from "../../components/Page";
import { RestoreBanner } from "./RestoreBanner";

interface Props {
  title: string;
  text?: ReactNode;
  actions?: (cluster: Cluster) => ReactNode;
  children: (cluster: Cluster) => ReactNode;
}

/** A page about the cluster in the path. Shows a placeholder while it loads, and an error if it can't be loaded. */
export function ClusterPage({ title, text, actions, children }: Props) {
  const { clusterId = "" } = useParams({ strict: false });
  const { data: cluster, error, refetch } = useCluster(clusterId);
  const breadcrumbs = [
    { label: "Clusters", to: "/clusters" },
    { label: cluster?.name ?? "…", to: `/clusters/${clusterId}/overview` },
  ];
  return (
    <Page title={title} text={text} breadcrumbs={breadcrumbs} actions={cluster && actions?.(cluster)}>
      {cluster ? (
        <>
          <RestoreBanner cluster={cluster} />
          {children(cluster)}
        </>
      ) : error ? (
        <ErrorAlert title="Couldn't load the cluster" error={error} retry={() => void refetch()} />
      ) : (
        <Skeleton height={180} radius="md" role="status" aria-label="Loading" />
      )}
    </Page>
  );
}
