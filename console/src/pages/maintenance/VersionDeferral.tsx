import { Select, Skeleton, Stack } from "@mantine/core";
import type { Cluster, Schemas } from "../../api/client";
import { useAllowed } from "../../api/permissions";
import { DescriptionList } from "../../components/DescriptionList";
import { ErrorAlert } from "../../components/ErrorAlert";
import { SectionHeader } from "../../components/Toolbar";
import { formatUtcDateTime } from "../../lib/format";
import { useSetVersionDeferral, useVersionDeferral } from "./data";
import { currentPolicy, POLICIES } from "./windows";
import classes from "./maintenance.module.css";

/** How long a cluster waits with new patch versions. */
export function VersionDeferral({ cluster }: { cluster: Cluster }) {
  const { data, error, refetch } = useVersionDeferral(cluster.id);
  return (
    <section aria-labelledby="version-deferral">
      <Stack gap="xs">
        <SectionHeader
          id="version-deferral"
          title="Version deferral"
          text="How long to wait after the release of a patch version."
        />
        {data ? (
          <Policy cluster={cluster} deferral={data} />
        ) : error ? (
          <ErrorAlert title="Couldn't load the version deferral" error={error} retry={() => void refetch()} />
        ) : (
          <Skeleton height={90} radius="md" role="status" aria-label="Loading" />
        )}
      </Stack>
    </section>
  );
}

interface PolicyProps {
  cluster: Cluster;
  deferral: Schemas["ClusterVersionDeferral"];
}

function Policy({ cluster, deferral }: PolicyProps) {
  const canSet = useAllowed(cluster, "SetClusterVersionDeferral") && cluster.state !== "DELETED";
  const set = useSetVersionDeferral(cluster.id);
  const { deferral_policy: policy, deferred_until: until } = deferral;
  return (
    <Stack gap="sm" className={`panel ${classes.box}`}>
      <Select
        label="Apply patches"
        maw={340}
        data={POLICIES}
        value={set.isPending ? set.variables : currentPolicy(policy)}
        onChange={(chosen) => chosen && set.mutate(chosen)}
        allowDeselect={false}
        disabled={!canSet || set.isPending}
      />
      {until && <DescriptionList items={[{ term: "Deferred until", value: formatUtcDateTime(until) }]} />}
    </Stack>
  );
}
