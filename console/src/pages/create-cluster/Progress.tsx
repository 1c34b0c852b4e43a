import { Anchor, Loader, Stack, Text } from "@mantine/core";
import { IconCheck, IconX } from "@tabler/icons-react";
import { Link, useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import type { Cluster } from "../../api/client";
import { isBusy, useCluster } from "../../api/queries";
import { ErrorNote } from "../../components/ErrorNote";
import { Page } from "../../components/Page";
import classes from "./create.module.css";

type Step = "done" | "now" | "later" | "failed";

function stepsOf(cluster: Cluster | undefined): [string, Step][] {
  if (!cluster) return [["Asking the server", "now"]];
  const failed = cluster.state === "CREATION_FAILED";
  const ready = cluster.state === "CREATED" && !isBusy(cluster);
  return [
    ["The cluster is written down, with its name and address", "done"],
    ["The SQL server is made and started", failed ? "failed" : ready ? "done" : "now"],
    ["It takes connections", ready ? "done" : "later"],
  ];
}

/** How far the making is; goes on to the cluster when it is ready. */
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
      title={data ? `Creating ${data.name}` : "Creating the cluster"}
      breadcrumbs={[{ label: "Clusters", to: "/clusters" }]}
    >
      {error && <ErrorNote error={error} />}
      <Stack className={`panel ${classes.progress}`} gap="sm" role="status">
        {stepsOf(data).map(([text, step]) => (
          <div key={text} className={classes.step} data-step={step}>
            {step === "now" && <Loader size={16} aria-hidden />}
            {step === "done" && <IconCheck size={17} aria-hidden />}
            {step === "failed" && <IconX size={17} aria-hidden />}
            {step === "later" && <span className={classes.later} aria-hidden />}
            <Text component="span">{text}</Text>
          </div>
        ))}
      </Stack>
      {data?.state === "CREATION_FAILED" && (
        <ErrorNote
          title="It could not be made"
          error={new Error(data.ootheca.conditions.find(({ holds }) => holds)?.message ?? "The server’s log says why.")}
        />
      )}
      <Text size="sm" c="dimmed">
        You can leave this page; it goes on without you.{" "}
        <Anchor size="sm" renderRoot={(props) => <Link {...props} to="/clusters" />}>
          All clusters
        </Anchor>
      </Text>
    </Page>
  );
}
