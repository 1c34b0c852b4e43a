import { Select } from "@mantine/core";
import type { Cluster } from "../../api/client";
import { useAllowedOn } from "../../api/permissions";
import { isDataMissing, useClusters } from "../../api/queries";
import { PLAN_NAMES } from "../../features/cluster/format";
import type { RestoreType } from "./restore-draft";

/** The options of a long list that are shown at the same time. */
const MAX_OPTIONS = 50;

interface Props {
  source: Cluster;
  type: RestoreType;
  value: string | null;
  onChange: (id: string | null) => void;
}

/** Selects another cluster of the same plan. Only the server knows what is in it. */
export function DestinationSelect({ source, type, value, onChange }: Props) {
  const { clusters, complete } = useClusters();
  const isAllowed = useAllowedOn("CreateRestore");
  const options = clusters
    .filter(({ id, plan, state }) => id !== source.id && plan === source.plan && state === "CREATED")
    .filter((cluster) => !isDataMissing(cluster) && isAllowed(cluster))
    .sort((one, another) => one.name.localeCompare(another.name));
  const plan = PLAN_NAMES[source.plan];
  const rule =
    type === "CLUSTER"
      ? `A ${plan} cluster without tables and with no database other than defaultdb. Its SQL users are replaced.`
      : `An ${plan} cluster. Nothing in it is replaced.`;
  return (
    <Select
      label="Destination"
      description={
        complete && options.length === 0
          ? `There is no other ${plan} cluster that you can restore into. Create one first.`
          : rule
      }
      placeholder="Select a cluster"
      data={options.map(({ id, name }) => ({ value: id, label: name }))}
      value={value}
      onChange={onChange}
      searchable
      limit={MAX_OPTIONS}
      allowDeselect={false}
      nothingFoundMessage="No clusters match"
    />
  );
}
