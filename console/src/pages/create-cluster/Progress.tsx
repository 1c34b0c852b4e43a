import { Anchor, Loader, Stack, Text } from "@mantine/core";
import { IconCheck, IconX } from "@tabler/icons-react";
import { Link, useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import type { Cluster } from "../../api/client";
import { isBusy, useCluster } from "../../api/queries";
import { ErrorAlert } from "../../components/ErrorAlert";
import { Page } from "../../components/Page";
import classes from "./create.module.css";

type Status = "done" | "running" | "waiting" | "failed";

function stepsOf(cluster: Cluster | undefined): [string, Status][] {
  if (!cluster) return [["Contacting the server", "running"]];
  const failed = cluster.state === "CREATION_FAILED";
  const ready = cluster.state === "CREATED" && !isBusy(cluster);
  return [
    ["Reserve the name and address", "done"],
    ["Start the SQL server", failed ? "failed" : ready ? "done" : "running"],
    ["Accept connections", ready ? "done" : "waiting"],
  ];
}

/** The progress of creating a cluster. Opens the cluster when it is ready. */
export function Progress({ id }: { id: string }) {
  const { data, error } = useCluster(id);
  const navigate = useNavigate();
  const ready = data?.state === "CREATED" && !isBusy(data);
  useEffect(() => {
    if (!ready) return;
    void navigate({
      to: "/clusters/$clusterId/overview",
      params: { clusterId: id },
      search: { new: "yes" },
      replace: true,
    });
  }, [ready, id, navigate]);
  return (
    <Page
      title={data ? `Creating ${data.name}` : "Creating cluster"}
      breadcrumbs={[{ label: "Clusters", to: "/clusters" }]}
    >
      {error && <ErrorAlert title="Couldn't load the cluster" error={error} />}
      <Stack className={`panel ${classes.progress}`} gap="sm" role="status">
        {stepsOf(data).map(([text, status]) => (
          <div key={text} className={classes.step} data-status={status}>
            {status === "running" && <Loader size={16} aria-hidden />}
            {status === "done" && <IconCheck size={17} aria-hidden />}
            {status === "failed" && <IconX size={17} aria-hidden />}
            {status === "waiting" && <span className={classes.waiting} aria-hidden />}
            <Text component="span">{text}</Text>
          </div>
        ))}
      </Stack>
      {data?.state === "CREATION_FAILED" && (
        <ErrorAlert
          title="Couldn't create the cluster"
          error={
            new Error(data.ootheca.conditions.find(({ holds }) => holds)?.message ?? "See the server log for details.")
          }
        />
      )}
      <Text size="sm" c="dimmed">
        You can leave this page. The cluster is created in the background.{" "}
        <Anchor size="sm" renderRoot={(props) => <Link {...props} to="/clusters" />}>
          View all clusters
        </Anchor>
      </Text>
    </Page>
  );
}
