/** How to connect to a cluster: who, to which database, and the code for it. */
import { Modal, Skeleton, Stack, Text } from "@mantine/core";
import { IconUserPlus } from "@tabler/icons-react";
import { useState } from "react";
import type { Cluster } from "../../api/client";
import { ADMINISTERS, SEES_INSIDE, useSqlUsers } from "../../api/inside";
import { useCanOnCluster } from "../../api/queries";
import { Empty } from "../../components/Empty";
import { ErrorNote } from "../../components/ErrorNote";
import { SqlUserForm, type NewSqlUser } from "../../components/SqlUserForm";
import { Instructions } from "./Instructions";

interface Props {
  cluster: Cluster;
  opened: boolean;
  onClose: () => void;
}

export default function ConnectDialog({ cluster, opened, onClose }: Props) {
  return (
    <Modal opened={opened} onClose={onClose} title={`Connect to ${cluster.name}`} size={760}>
      {cluster.state === "CREATED" ? (
        <Body cluster={cluster} onClose={onClose} />
      ) : (
        <Text>The cluster is not ready yet. This shows how to connect as soon as it is.</Text>
      )}
    </Modal>
  );
}

function Body({ cluster, onClose }: { cluster: Cluster; onClose: () => void }) {
  const sees = useCanOnCluster(cluster, SEES_INSIDE);
  const administers = useCanOnCluster(cluster, ADMINISTERS);
  const users = useSqlUsers(cluster.id, sees);
  const [made, setMade] = useState<NewSqlUser | null>(null);
  const [adding, setAdding] = useState(false);
  if (sees && users.isPending) return <Skeleton height={260} role="status" aria-label="Loading" />;
  if (users.error && !users.data) {
    return <ErrorNote title="SQL users can not be shown" error={users.error} retry={() => void users.refetch()} />;
  }
  const names = (users.data ?? []).map((user) => user.name);
  const first = sees && names.length === 0 && made === null;
  if (first && !administers) {
    return (
      <Empty
        icon={IconUserPlus}
        title="No SQL user yet"
        text="A program needs a SQL user to connect. Ask a cluster admin to add one."
      />
    );
  }
  if (first || adding) {
    return (
      <Stack>
        <Text>
          {first
            ? "Create a SQL user first: a program needs one to connect. It is not the person who signs in here."
            : "The new user can log in as soon as it is created."}
        </Text>
        <SqlUserForm
          cluster={cluster.id}
          onCreated={(user) => {
            setMade(user);
            setAdding(false);
          }}
          onCancel={first ? onClose : () => setAdding(false)}
        />
      </Stack>
    );
  }
  return (
    <Instructions
      key={made?.name ?? ""}
      cluster={cluster}
      users={made && !names.includes(made.name) ? [...names, made.name] : names}
      sees={sees}
      made={made}
      onAdd={administers ? () => setAdding(true) : undefined}
      onLeave={onClose}
    />
  );
}
