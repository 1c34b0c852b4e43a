import { Button, Text } from "@mantine/core";
import { IconCoinOff } from "@tabler/icons-react";
import { useFolders } from "../../api/queries";
import { DescriptionList } from "../../components/DescriptionList";
import { ErrorAlert } from "../../components/ErrorAlert";
import { CLOUD_NAMES, folderPath, MIB, PLAN_NAMES } from "../../features/cluster/format";
import { formatBytes, formatNumber } from "../../lib/format";
import classes from "./create.module.css";
import type { Draft } from "./draft";

interface Props {
  draft: Draft;
  ready: boolean;
  pending: boolean;
  error: Error | null;
}

function capacityOf(draft: Draft): string {
  if (draft.plan === "STANDARD") return `${draft.vcpus} vCPUs`;
  if (draft.plan === "ADVANCED") return `1 node, ${draft.nodeVcpus} vCPUs, ${draft.nodeStorageGib} GiB`;
  const limits = [
    draft.requestUnits === null ? null : `${formatNumber(draft.requestUnits)} RU per month`,
    draft.storageMib === null ? null : formatBytes(draft.storageMib * MIB),
  ].filter((limit) => limit !== null);
  return limits.length > 0 ? `Up to ${limits.join(", ")}` : "No limits";
}

/** The cluster that will be created. It stays in view while the form scrolls. */
export function Summary({ draft, ready, pending, error }: Props) {
  const folders = useFolders().data ?? [];
  return (
    <aside className={`panel ${classes.summary}`} aria-label="Summary">
      <Text fw={620} mb="sm" component="h2">
        Summary
      </Text>
      <DescriptionList
        variant="summary"
        items={[
          { term: "Name", value: draft.name || "–" },
          { term: "Plan", value: PLAN_NAMES[draft.plan] },
          { term: "Cloud", value: CLOUD_NAMES[draft.cloud] },
          { term: draft.regions.length > 1 ? "Regions" : "Region", value: draft.regions.join(", ") || "–" },
          { term: "Capacity", value: capacityOf(draft) },
          { term: "Folder", value: folderPath(folders, draft.folder) || "None" },
          { term: "Delete protection", value: draft.protected ? "On" : "Off" },
        ]}
      />
      <div className={classes.costs}>
        <IconCoinOff size={18} aria-hidden />
        <span>
          <strong>Free.</strong> Runs on this server.
        </span>
      </div>
      {error && <ErrorAlert error={error} title="Couldn't create the cluster" />}
      <Button type="submit" fullWidth mt={error ? "md" : 0} disabled={!ready} loading={pending}>
        Create cluster
      </Button>
    </aside>
  );
}
