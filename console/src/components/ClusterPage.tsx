import { Skeleton } from "@mantine/core";
import { useParams } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Cluster } from "../api/client";
import { useCluster } from "../api/queries";
import { ErrorNote } from "./ErrorNote";
import { Page } from "./Page";

interface Props {
  title: string;
  text?: ReactNode;
  actions?: (cluster: Cluster) => ReactNode;
  children: (cluster: Cluster) => ReactNode;
}

/** A page about the cluster that the path names: loading, gone or refused are said here. */
export function ClusterPage({ title, text, actions, children }: Props) {
  const { clusterId = "" } = useParams({ strict: false });
  const { data: cluster, error, refetch } = useCluster(clusterId);
  const crumbs = [
    { label: "Clusters", to: "/clusters" },
    { label: cluster?.name ?? "…", to: `/clusters/${clusterId}/overview` },
  ];
  return (
    <Page title={title} text={text} breadcrumbs={crumbs} actions={cluster && actions?.(cluster)}>
      {cluster ? (
        children(cluster)
      ) : error ? (
        <ErrorNote title="This cluster can not be shown" error={error} retry={() => void refetch()} />
      ) : (
        <Skeleton height={180} radius="md" role="status" aria-label="Loading" />
      )}
    </Page>
  );
}
