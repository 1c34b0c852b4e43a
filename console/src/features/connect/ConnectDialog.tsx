/** Shows how to connect to a cluster: the SQL user, the database, and the code to run. */
import { Modal, Skeleton, Stack, Text } from "@mantine/core";
import { IconUserPlus } from "@tabler/icons-react";
import { useState } from "react";
import type { Cluster } from "../../api/client";
import { useAllowed } from "../../api/permissions";
import { useSqlUsers } from "../../api/sql-objects";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { SqlUserForm, type CreatedSqlUser } from "../sql-users/SqlUserForm";
import { Instructions } from "./Instructions";

interface Props {
  cluster: Cluster;
  onClose: () => void;
}

export default function ConnectDialog({ cluster, onClose }: Props) {
  return (
    <Modal opened onClose={onClose} title={`Connect to ${cluster.name}`} size={760}>
      {cluster.state === "CREATED" ? (
        <Content cluster={cluster} onClose={onClose} />
      ) : (
        <Text>The connection details will be available when the cluster is ready.</Text>
      )}
    </Modal>
  );
}

function Content({ cluster, onClose }: Props) {
  const canView = useAllowed(cluster, "ListSQLUsers");
  const canCreate = useAllowed(cluster, "CreateSQLUser");
  const users = useSqlUsers(cluster.id, canView);
  const [created, setCreated] = useState<CreatedSqlUser | null>(null);
  const [creating, setCreating] = useState(false);
  if (canView && users.isPending) return <Skeleton height={260} role="status" aria-label="Loading" />;
  if (users.error && !users.data) {
    return <ErrorAlert title="Couldn't load SQL users" error={users.error} retry={() => void users.refetch()} />;
  }
  const names = (users.data ?? []).map((user) => user.name);
  const hasNone = canView && names.length === 0 && created === null;
  if (hasNone && !canCreate) {
    return (
      <EmptyState
        icon={IconUserPlus}
        title="No SQL users"
        text="You need a SQL user to connect. Ask a cluster admin to create one."
      />
    );
  }
  if (hasNone || creating) {
    return (
      <Stack>
        {hasNone && (
          <Text>Create a SQL user to connect with. SQL users are separate from the users of this console.</Text>
        )}
        <SqlUserForm
          cluster={cluster.id}
          onCreated={(user) => {
            setCreated(user);
            setCreating(false);
          }}
          onCancel={hasNone ? onClose : () => setCreating(false)}
        />
      </Stack>
    );
  }
  return (
    <Instructions
      key={created?.name ?? ""}
      cluster={cluster}
      users={created && !names.includes(created.name) ? [...names, created.name] : names}
      canView={canView}
      created={created}
      onCreate={canCreate ? () => setCreating(true) : undefined}
      onLeave={onClose}
    />
  );
}
