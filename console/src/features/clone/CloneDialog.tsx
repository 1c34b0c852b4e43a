import { Select, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api, unwrap, type Cluster, type Schemas } from "../../api/client";
import { keys, queryClient, refreshInList, regionsQuery, useClusters } from "../../api/queries";
import type { RestorePoint } from "../../api/restore-points";
import { CLUSTER_NAME_RULE } from "../../api/validation";
import { FormDialog } from "../../components/DialogForm";
import { useNotifiedMutation } from "../../components/useNotifiedMutation";
import { withRule } from "../../components/withRule";
import { ZonedTime } from "../../components/ZonedTime";
import { FolderSelect } from "../cluster/FolderSelect";
import { PLAN_NAMES } from "../cluster/format";
import { cloneErrors, cloneRequest, newCloneDraft, offeredPlans, suggestCloneName, type CloneDraft } from "./draft";
import { ExpiryFields } from "./ExpiryFields";
import { MaskingFields } from "./MaskingFields";

interface Props {
  source: Cluster;
  /** The time of the data. Without it, the present data is cloned. */
  point?: RestorePoint;
  onClose: () => void;
}

/** Creates a cluster with the data of another one, and opens it. */
export function CloneDialog({ source, point, onClose }: Props) {
  const [draft, setDraft] = useState(() => newCloneDraft(source));
  const [now] = useState(() => Date.now());
  const navigate = useNavigate();
  const { clusters } = useClusters();
  const regions = useQuery(regionsQuery).data ?? [];
  const create = useNotifiedMutation<Cluster, Schemas["CreateClusterRequest"]>({
    mutationFn: (body) => unwrap(api.POST("/api/v1/clusters", { body })),
    errorTitle: null,
    onSuccess: (cluster) => {
      queryClient.setQueryData(keys.cluster(cluster.id), cluster);
      void refreshInList(queryClient, cluster.id);
      onClose();
      void navigate({ to: "/clusters/$clusterId/overview", params: { clusterId: cluster.id } });
    },
  });
  const name = draft.name ?? suggestCloneName(source.name, new Set(clusters.map((cluster) => cluster.name)));
  const errors = cloneErrors(draft, name, now);
  const set = (part: Partial<CloneDraft>) => setDraft((previous) => ({ ...previous, ...part }));
  const time = point ? (
    <>
      as they were on <ZonedTime time={point.time} />
    </>
  ) : (
    "as they are now"
  );
  return (
    <FormDialog
      title={`Clone ${source.name}`}
      action="Create cluster"
      disabled={errors.masking ?? Boolean(errors.name ?? errors.expiry)}
      pending={create.isPending}
      error={create.error}
      errorTitle="Couldn't create the cluster"
      onSubmit={() => create.mutate(cloneRequest(draft, name, source, Date.now(), point))}
      onClose={onClose}
    >
      <Text>
        Creates a cluster with all databases and SQL users of {source.name} {time}. {source.name} isn't changed.
      </Text>
      <Text size="sm" c="dimmed">
        SQL users keep their passwords. The allowlist isn't cloned: it is that of a new cluster.
      </Text>
      <TextInput
        label="Name"
        required
        spellCheck={false}
        autoComplete="off"
        value={name}
        {...withRule(CLUSTER_NAME_RULE, errors.name)}
        onChange={(event) => set({ name: event.currentTarget.value })}
        data-autofocus
      />
      <FolderSelect value={draft.folder} onChange={(folder) => set({ folder })} />
      <Select
        label="Plan"
        description="The limits of the source are kept with its plan."
        data={offeredPlans(source, regions).map((plan) => ({ value: plan, label: PLAN_NAMES[plan] }))}
        value={draft.plan}
        onChange={(plan) => plan && set({ plan: plan as Schemas["Plan"] })}
        allowDeselect={false}
      />
      <ExpiryFields draft={draft} error={errors.expiry} onChange={set} />
      <MaskingFields source={source} draft={draft} onChange={set} />
    </FormDialog>
  );
}
