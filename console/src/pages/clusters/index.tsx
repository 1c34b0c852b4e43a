/** Clusters: all of them, or those in a folder; found by name, id, folder, region or label. */
import { Button, CloseButton, Group, Text, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconFolderPlus, IconPlus, IconSearch, IconServer2, IconZoomQuestion } from "@tabler/icons-react";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useDeferredValue, useMemo, useState } from "react";
import type { Cluster } from "../../api/client";
import { can, foldersAbove, useClusters, useFolders, useNewestSamples, useSession } from "../../api/queries";
import { DataTable } from "../../components/DataTable";
import { Empty } from "../../components/Empty";
import { ErrorNote } from "../../components/ErrorNote";
import { Page, type Crumb } from "../../components/Page";
import type { OpenDialog } from "./ClusterDialogs";
import { FolderTiles } from "./FolderTiles";
import { SamplesContext, columnsOf } from "./columns";
import { haystack, inFolder, matches, type ClusterRow } from "./rows";
import classes from "./clusters.module.css";

// The list comes first; dialogs and their fields follow.
const ClusterDialogs = lazy(() => import("./ClusterDialogs").then((module) => ({ default: module.ClusterDialogs })));
const NewFolderDialog = lazy(() => import("./NewFolderDialog").then((module) => ({ default: module.NewFolderDialog })));

const NONE = {};

export default function ClustersPage() {
  const { folderId = "root" } = useParams({ strict: false });
  const { q = "" } = useSearch({ strict: false });
  const navigate = useNavigate();
  const whoami = useSession();
  const { clusters, complete, isPending, error, refetch } = useClusters();
  const folderQuery = useFolders();
  const [dialog, setDialog] = useState<OpenDialog | null>(null);
  const [creating, newFolder] = useDisclosure();
  const [visible, setVisible] = useState<string[]>([]);
  const samples = useNewestSamples(visible).data;

  const folders = useMemo(() => folderQuery.data ?? [], [folderQuery.data]);
  const above = foldersAbove(folders, folderId);
  const folder = above.at(-1);
  const rows = useMemo(() => {
    const paths = new Map<string, string>();
    return inFolder(clusters, folders, folderId).map((cluster): ClusterRow => haystack(cluster, folders, paths));
  }, [clusters, folders, folderId]);
  const wanted = useDeferredValue(q);
  const found = useMemo(() => rows.filter((row) => matches(row, wanted)), [rows, wanted]);
  const columns = useMemo(() => columnsOf(setDialog), []);

  const place = { folders: above.map(({ resource_id }) => resource_id) };
  const mayCreate = can(whoami, ["CLUSTER_ADMIN", "CLUSTER_CREATOR"], place);
  const mayAddFolder = can(whoami, ["FOLDER_ADMIN"], place);
  const newCluster = folder ? { folder: folder.resource_id } : {};
  const createButton = (
    <Button
      leftSection={<IconPlus size={16} aria-hidden />}
      renderRoot={(props) => <Link to="/clusters/new" search={newCluster} {...props} />}
    >
      Create cluster
    </Button>
  );
  const search = (text: string) =>
    void navigate({ to: ".", search: { q: text || undefined }, replace: true, resetScroll: false });
  const crumbs: Crumb[] = folder
    ? [
        { label: "Clusters", to: "/clusters" },
        ...above.slice(0, -1).map(({ name, resource_id }) => ({ label: name, to: `/folders/${resource_id}` })),
      ]
    : [];

  return (
    <Page
      title={folder?.name ?? "Clusters"}
      breadcrumbs={crumbs}
      actions={
        <>
          {mayAddFolder && (
            <Button variant="default" leftSection={<IconFolderPlus size={16} aria-hidden />} onClick={newFolder.open}>
              Create folder
            </Button>
          )}
          {mayCreate && createButton}
        </>
      }
    >
      {!wanted && <FolderTiles folders={folders} parent={folderId} clusters={clusters} />}
      {error && clusters.length === 0 ? (
        <ErrorNote error={error} retry={() => void refetch()} />
      ) : (
        <>
          {(rows.length > 0 || q !== "") && (
            <Group justify="space-between" gap="sm">
              <TextInput
                className={classes.search}
                aria-label="Search clusters"
                placeholder="Search by name, id, folder, region or label"
                leftSection={<IconSearch size={16} aria-hidden />}
                rightSection={
                  q ? <CloseButton size="sm" aria-label="Clear the search" onClick={() => search("")} /> : null
                }
                value={q}
                onChange={(event) => search(event.currentTarget.value)}
              />
              <Text size="sm" c="dimmed" className="tabular" role="status">
                {countText(found.length, rows.length, complete)}
              </Text>
            </Group>
          )}
          <SamplesContext value={samples ?? NONE}>
            <DataTable
              label="Clusters"
              columns={columns}
              data={found}
              rowId={(row) => row.cluster.id}
              initialSort={[{ id: "name", desc: false }]}
              loading={isPending}
              onOpen={({ cluster }) =>
                void navigate({ to: "/clusters/$clusterId/overview", params: { clusterId: cluster.id } })
              }
              onVisible={(shown) => setVisible(shown.map(({ cluster }) => cluster.id))}
              empty={
                wanted ? (
                  <Empty
                    icon={IconZoomQuestion}
                    title="Nothing matches"
                    text={`No cluster here matches “${wanted}”.`}
                  />
                ) : (
                  <NoClusters inFolder={folder !== undefined} action={mayCreate ? createButton : undefined} />
                )
              }
            />
          </SamplesContext>
        </>
      )}
      <Suspense fallback={null}>
        {dialog && (
          <ClusterDialogs {...dialog} cluster={latest(clusters, dialog.cluster)} onClose={() => setDialog(null)} />
        )}
        {creating && <NewFolderDialog parent={folderId} onClose={newFolder.close} />}
      </Suspense>
    </Page>
  );
}

function NoClusters({ inFolder, action }: { inFolder: boolean; action?: React.ReactNode }) {
  return (
    <Empty
      icon={IconServer2}
      title={inFolder ? "This folder holds no cluster" : "No clusters yet"}
      text={
        action
          ? "A cluster is a SQL server of its own, with its databases, users and limits. The first one takes a few seconds."
          : "Nobody has made a cluster that you may see. Ask an administrator for the role Cluster Creator."
      }
      action={action}
    />
  );
}

function latest(clusters: Cluster[], cluster: Cluster): Cluster {
  return clusters.find(({ id }) => id === cluster.id) ?? cluster;
}

function countText(found: number, all: number, complete: boolean): string {
  const more = complete ? "" : " so far…";
  const total = `${all.toLocaleString("en")} ${all === 1 ? "cluster" : "clusters"}`;
  return found === all ? `${total}${more}` : `${found.toLocaleString("en")} of ${total}${more}`;
}
