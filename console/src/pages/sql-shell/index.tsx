/** The SQL shell: runs one statement at a time as admin, read-only unless changes are allowed. */
import { Text } from "@mantine/core";
import { IconTerminal2 } from "@tabler/icons-react";
import type { Cluster } from "../../api/client";
import { useAllowed } from "../../api/permissions";
import { ClusterPage } from "../../features/cluster/ClusterPage";
import { EmptyState } from "../../components/EmptyState";
import { Shell } from "./Shell";

export default function SqlPage() {
  return (
    <ClusterPage
      title="SQL shell"
      text="Each statement runs as admin in its own transaction and is recorded in the audit log."
    >
      {(cluster) => <Guarded cluster={cluster} />}
    </ClusterPage>
  );
}

function Guarded({ cluster }: { cluster: Cluster }) {
  const canRun = useAllowed(cluster, "RunStatement");
  if (cluster.state !== "CREATED") return <Text>The SQL shell will be available when the cluster is ready.</Text>;
  if (canRun) return <Shell key={cluster.id} cluster={cluster} />;
  return (
    <EmptyState
      icon={IconTerminal2}
      title="You don't have permission to use the SQL shell"
      text="Ask an organization admin for the Cluster admin role, or connect as a SQL user."
    />
  );
}
