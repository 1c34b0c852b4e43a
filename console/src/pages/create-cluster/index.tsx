/** Creates a cluster. `?created=ID` shows the progress of the cluster with that ID. */
import { ActionIcon, Stack, Switch, Text, TextInput, Title, Tooltip } from "@mantine/core";
import { IconRefresh } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState, type ReactNode } from "react";
import { api, unwrap, type Cluster } from "../../api/client";
import { keys, regionsQuery, refreshInList, useClusters } from "../../api/queries";
import { CLUSTER_NAME_RULE } from "../../api/validation";
import { ErrorAlert } from "../../components/ErrorAlert";
import { Page } from "../../components/Page";
import { FolderSelect } from "../../features/cluster/FolderSelect";
import { LabelsInput } from "../../features/cluster/LabelsInput";
import { useNotifiedMutation } from "../../components/useNotifiedMutation";
import { Capacity } from "./Capacity";
import { PlanChoice } from "./PlanChoice";
import { Progress } from "./Progress";
import { RegionChoice } from "./RegionChoice";
import { Summary } from "./Summary";
import { newDraft, validate, toRequest, withOfferedRegions, type Draft } from "./draft";
import { suggestName } from "./suggest-name";
import classes from "./create.module.css";

export default function CreateClusterPage() {
  const { created, folder = "root" } = useSearch({ strict: false });
  return created ? <Progress id={created} /> : <Form folder={folder} />;
}

function Section({ title, text, children }: { title: string; text?: string; children: ReactNode }) {
  return (
    <section className={`panel ${classes.section}`}>
      <div>
        <Title order={2}>{title}</Title>
        {text && (
          <Text size="sm" c="dimmed">
            {text}
          </Text>
        )}
      </div>
      {children}
    </section>
  );
}

function useTakenNames() {
  const { clusters } = useClusters();
  return new Set(clusters.map(({ name }) => name));
}

function Form({ folder }: { folder: string }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const taken = useTakenNames();
  const regions = useQuery(regionsQuery);
  const [draft, setDraft] = useState<Draft>(() => newDraft(suggestName(taken), folder));
  const create = useNotifiedMutation<Cluster, Draft>({
    mutationFn: (draft) => unwrap(api.POST("/api/v1/clusters", { body: toRequest(draft) })),
    errorTitle: null,
    onSuccess: (cluster) => {
      client.setQueryData(keys.cluster(cluster.id), cluster);
      void refreshInList(client, cluster.id);
      void navigate({ to: "/clusters/new", search: { created: cluster.id }, replace: true });
    },
  });
  const all = regions.data ?? [];
  const errors = validate(draft);
  const ready = Object.values(errors).every((error) => error === null) && all.length > 0;
  const set = (part: Partial<Draft>) => setDraft((previous) => ({ ...previous, ...part }));
  return (
    <Page title="Create cluster" breadcrumbs={[{ label: "Clusters", to: "/clusters" }]}>
      <form
        className={classes.form}
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) create.mutate(draft);
        }}
      >
        <Stack>
          <Section title="Plan">
            <PlanChoice plan={draft.plan} onChange={(plan) => setDraft(withOfferedRegions({ ...draft, plan }, all))} />
          </Section>
          <Section title="Cloud and regions">
            {regions.error ? (
              <ErrorAlert
                title="Couldn't load the regions"
                error={regions.error}
                retry={() => void regions.refetch()}
              />
            ) : (
              <RegionChoice draft={draft} all={all} onChange={setDraft} error={errors.regions} />
            )}
          </Section>
          <Section title="Capacity">
            <Capacity draft={draft} onChange={setDraft} error={errors.capacity} />
          </Section>
          <Section title="Name and folder">
            <TextInput
              label="Name"
              description={`${errors.name ? "" : CLUSTER_NAME_RULE} You can't change the name later.`}
              required
              spellCheck={false}
              autoComplete="off"
              value={draft.name}
              error={errors.name}
              onChange={(event) => set({ name: event.currentTarget.value })}
              rightSection={
                <Tooltip label="Suggest another name">
                  <ActionIcon
                    variant="subtle"
                    color="gray"
                    aria-label="Suggest another name"
                    onClick={() => set({ name: suggestName(taken) })}
                  >
                    <IconRefresh size={16} aria-hidden />
                  </ActionIcon>
                </Tooltip>
              }
            />
            <FolderSelect value={draft.folder} onChange={(id) => set({ folder: id })} />
            <Switch
              label="Delete protection"
              description="The cluster can't be deleted while protection is on."
              checked={draft.protected}
              onChange={(event) => set({ protected: event.currentTarget.checked })}
            />
            <div>
              <Text size="sm" fw={500} mb={6}>
                Labels
              </Text>
              <LabelsInput rows={draft.labels} onChange={(labels) => set({ labels })} problem={errors.labels} />
            </div>
          </Section>
        </Stack>
        <Summary draft={draft} ready={ready} pending={create.isPending} error={create.error} />
      </form>
    </Page>
  );
}
