import { Button, Text } from "@mantine/core";
import { IconCoinOff } from "@tabler/icons-react";
import { ErrorNote } from "../../components/ErrorNote";
import { CLOUD, PLAN, folderPath } from "../../components/cluster/words";
import { useFolders } from "../../api/queries";
import { bytes, count } from "../../components/time";
import type { Draft } from "./draft";
import classes from "./create.module.css";

interface Props {
  draft: Draft;
  ready: boolean;
  pending: boolean;
  error: Error | null;
}

function capacityOf(draft: Draft): string {
  if (draft.plan === "STANDARD") return `${draft.vcpus} vCPUs`;
  if (draft.plan === "ADVANCED") return `1 node, ${draft.machineVcpus} vCPUs, ${draft.machineStorage} GiB`;
  const limits = [
    draft.requestUnits === null ? null : `${count(draft.requestUnits)} RU a month`,
    draft.storageMib === null ? null : bytes(draft.storageMib * 1024 * 1024),
  ].filter((limit) => limit !== null);
  return limits.length > 0 ? `At most ${limits.join(", ")}` : "No limits";
}

/** What will be made; stays in sight. */
export function Summary({ draft, ready, pending, error }: Props) {
  const folders = useFolders().data ?? [];
  const lines: [string, string][] = [
    ["Name", draft.name || "–"],
    ["Plan", PLAN[draft.plan]],
    ["Cloud", CLOUD[draft.cloud]],
    [draft.regions.length > 1 ? "Regions" : "Region", draft.regions.join(", ") || "–"],
    ["Capacity", capacityOf(draft)],
    ["Folder", folderPath(folders, draft.folder) || "None"],
    ["Delete protection", draft.protected ? "On" : "Off"],
  ];
  return (
    <aside className={`panel ${classes.summary}`} aria-label="Summary">
      <Text fw={620} mb="sm" component="h2">
        Summary
      </Text>
      <dl className={classes.lines}>
        {lines.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <div className={classes.costs}>
        <IconCoinOff size={18} aria-hidden />
        <span>
          <strong>Costs nothing.</strong> It runs on your machine, and takes what it uses of it.
        </span>
      </div>
      {error && <ErrorNote error={error} title="It was not made" />}
      <Button type="submit" fullWidth mt={error ? "md" : 0} disabled={!ready} loading={pending}>
        Create cluster
      </Button>
    </aside>
  );
}
