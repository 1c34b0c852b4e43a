/** Making a cluster: plan, cloud and regions, capacity, name. While it is made, `?made=ID` shows how far it is. */
import { ActionIcon, Stack, Switch, Text, TextInput, Title, Tooltip } from "@mantine/core";
import { IconRefresh } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState, type ReactNode } from "react";
import { api, unwrap, type Cluster } from "../../api/client";
import { keys, regionsQuery, refreshInList, useClusters } from "../../api/queries";
import { ErrorNote } from "../../components/ErrorNote";
import { Page } from "../../components/Page";
import { FolderSelect } from "../../components/cluster/FolderSelect";
import { LabelsInput } from "../../components/cluster/LabelsInput";
import { useChange } from "../../shell/mutation";
import { Capacity } from "./Capacity";
import { PlanChoice } from "./PlanChoice";
import { Progress } from "./Progress";
import { RegionChoice } from "./RegionChoice";
import { Summary } from "./Summary";
import { newDraft, problemsOf, requestOf, settle, type Draft } from "./draft";
import { suggestName } from "./suggestion";
import classes from "./create.module.css";

export default function CreateClusterPage() {
  const { made, folder = "root" } = useSearch({ strict: false });
  return made ? <Progress id={made} /> : <Form folder={folder} />;
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
  const create = useChange<Cluster, Draft>({
    mutationFn: (wish) => unwrap(api.POST("/api/v1/clusters", { body: requestOf(wish) })),
    failed: null,
    onSuccess: (cluster) => {
      client.setQueryData(keys.cluster(cluster.id), cluster);
      void refreshInList(client, cluster.id);
      void navigate({ to: "/clusters/new", search: { made: cluster.id }, replace: true });
    },
  });
  const all = regions.data ?? [];
  const problems = problemsOf(draft);
  const ready = Object.keys(problems).length === 0 && all.length > 0;
  const set = (part: Partial<Draft>) => setDraft((before) => ({ ...before, ...part }));
  return (
    <Page title="Create a cluster" breadcrumbs={[{ label: "Clusters", to: "/clusters" }]}>
      <form
        className={classes.form}
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) create.mutate(draft);
        }}
      >
        <Stack>
          <Section title="Plan">
            <PlanChoice plan={draft.plan} onChange={(plan) => setDraft(settle({ ...draft, plan }, all))} />
          </Section>
          <Section title="Cloud and regions">
            {regions.error ? (
              <ErrorNote error={regions.error} retry={() => void regions.refetch()} />
            ) : (
              <RegionChoice draft={draft} all={all} onChange={setDraft} problem={problems.regions} />
            )}
          </Section>
          <Section title="Capacity">
            <Capacity draft={draft} onChange={setDraft} problem={problems.capacity} />
          </Section>
          <Section title="Name and place">
            <TextInput
              label="Name"
              description="It is part of the address, and can not be changed later."
              required
              spellCheck={false}
              autoComplete="off"
              value={draft.name}
              error={problems.name}
              onChange={(event) => set({ name: event.currentTarget.value })}
              rightSection={
                <Tooltip label="Another suggestion">
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
              description="It must be turned off before the cluster can be deleted."
              checked={draft.protected}
              onChange={(event) => set({ protected: event.currentTarget.checked })}
            />
            <div>
              <Text size="sm" fw={500} mb={6}>
                Labels
              </Text>
              <LabelsInput rows={draft.labels} onChange={(labels) => set({ labels })} problem={problems.labels} />
            </div>
          </Section>
        </Stack>
        <Summary draft={draft} ready={ready} pending={create.isPending} error={create.error} />
      </form>
    </Page>
  );
}
