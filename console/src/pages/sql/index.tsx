/** The SQL shell: one statement at a time, as admin, read-only unless changes are allowed. */
import { Text } from "@mantine/core";
import { IconTerminal2 } from "@tabler/icons-react";
import type { Cluster } from "../../api/client";
import { ADMINISTERS } from "../../api/inside";
import { useCanOnCluster } from "../../api/queries";
import { ClusterPage } from "../../components/ClusterPage";
import { Empty } from "../../components/Empty";
import { Shell } from "./Shell";

export default function SqlPage() {
  return (
    <ClusterPage
      title="SQL shell"
      text="Runs one statement in a transaction of its own, as admin. Each leaves an audit entry."
    >
      {(cluster) => <Guarded cluster={cluster} />}
    </ClusterPage>
  );
}

function Guarded({ cluster }: { cluster: Cluster }) {
  const may = useCanOnCluster(cluster, ADMINISTERS);
  if (cluster.state !== "CREATED") return <Text>The shell opens as soon as the cluster is ready.</Text>;
  if (may) return <Shell key={cluster.id} cluster={cluster} />;
  return (
    <Empty
      icon={IconTerminal2}
      title="The SQL shell is for cluster admins"
      text="It runs as admin. Ask an organization admin for the role, or connect as a SQL user."
    />
  );
}
