/** Maintenance of an Advanced cluster: its maintenance window, version deferral, and blackout windows. */
import { Text } from "@mantine/core";
import type { Cluster } from "../../api/client";
import { Note } from "../../components/Note";
import { ClusterPage } from "../../features/cluster/ClusterPage";
import { BlackoutWindows } from "./BlackoutWindows";
import { MaintenanceWindow } from "./MaintenanceWindow";
import { VersionDeferral } from "./VersionDeferral";

export default function MaintenancePage() {
  return (
    <ClusterPage title="Maintenance" text="When patches can be applied to the cluster, and when they can't.">
      {(cluster) => <Maintenance cluster={cluster} />}
    </ClusterPage>
  );
}

function Maintenance({ cluster }: { cluster: Cluster }) {
  if (cluster.plan !== "ADVANCED") {
    return (
      <Text>Only Advanced clusters have a maintenance window, a version deferral policy, and blackout windows.</Text>
    );
  }
  return (
    <>
      <Note text="The settings are recorded. Ootheca doesn't schedule patches yet." />
      <MaintenanceWindow cluster={cluster} />
      <VersionDeferral cluster={cluster} />
      <BlackoutWindows cluster={cluster} />
    </>
  );
}
