/** The list of clusters: all of them, or those in a folder. */
import { Button, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconFolderPlus, IconPlus, IconServer2, IconZoomQuestion } from "@tabler/icons-react";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useDeferredValue, useMemo, useState } from "react";
import type { Cluster } from "../../api/client";
import { isAllowed } from "../../api/permissions";
import { foldersAbove, useClusters, useFolders, useLatestSamples, useSession } from "../../api/queries";
import { DataTable } from "../../components/DataTable";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { Page, type Crumb } from "../../components/Page";
import { SearchInput } from "../../components/SearchInput";
import { Toolbar } from "../../components/Toolbar";
import { formatCount } from "../../lib/format";
import { FolderTiles } from "./FolderTiles";
import { columnsOf, SamplesContext, type OpenDialog } from "./columns";
import { toRow, inFolder, matches, type ClusterRow } from "./rows";

// Dialogs are loaded after the list.
const ClusterDialogs = lazy(() =>
  import("../../features/cluster/ClusterDialogs").then((module) => ({ default: module.ClusterDialogs })),
);
const CreateFolderDialog = lazy(() =>
  import("../../features/folder/CreateFolderDialog").then((module) => ({ default: module.CreateFolderDialog })),
);

const NONE = {};

export default function ClustersPage() {
  const { folderId = "root" } = useParams({ strict: false });
  const { q = "" } = useSearch({ strict: false });
  const navigate = useNavigate();
  const session = useSession();
  const { clusters, complete, isPending, error, refetch } = useClusters();
  const folderQuery = useFolders();
  const [dialog, setDialog] = useState<OpenDialog | null>(null);
  const [creating, newFolder] = useDisclosure();
  const [visible, setVisible] = useState<string[]>([]);
  const samples = useLatestSamples(visible).data;

  const folders = useMemo(() => folderQuery.data ?? [], [folderQuery.data]);
  const above = foldersAbove(folders, folderId);
  const folder = above.at(-1);
  const rows = useMemo(() => {
    const paths = new Map<string, string>();
    return inFolder(clusters, folders, folderId).map((cluster): ClusterRow => toRow(cluster, folders, paths));
  }, [clusters, folders, folderId]);
  const deferred = useDeferredValue(q);
  const found = useMemo(() => rows.filter((row) => matches(row, deferred)), [rows, deferred]);
  const columns = useMemo(() => columnsOf(setDialog), []);

  const scope = { folders: above.map(({ resource_id }) => resource_id) };
  const canCreate = isAllowed(session, "CreateCluster", scope);
  const canCreateFolder = isAllowed(session, "CreateFolder", scope);
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
          {canCreateFolder && (
            <Button variant="default" leftSection={<IconFolderPlus size={16} aria-hidden />} onClick={newFolder.open}>
              Create folder
            </Button>
          )}
          {canCreate && createButton}
        </>
      }
    >
      {!deferred && <FolderTiles folders={folders} parent={folderId} clusters={clusters} />}
      {error && clusters.length === 0 ? (
        <ErrorAlert error={error} retry={() => void refetch()} />
      ) : (
        <>
          {(rows.length > 0 || q !== "") && (
            <Toolbar>
              <SearchInput
                label="Search clusters"
                placeholder="Search by name, ID, folder, region, or label"
                value={q}
                onChange={search}
              />
              <Text size="sm" c="dimmed" className="tabular" role="status">
                {countText(found.length, rows.length, complete)}
              </Text>
            </Toolbar>
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
                deferred ? (
                  <EmptyState
                    icon={IconZoomQuestion}
                    title="No clusters match"
                    text={`No cluster matches “${deferred}”.`}
                  />
                ) : (
                  <NoClusters inFolder={folder !== undefined} action={canCreate ? createButton : undefined} />
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
        {creating && <CreateFolderDialog parent={folderId} onClose={newFolder.close} />}
      </Suspense>
    </Page>
  );
}

function NoClusters({ inFolder, action }: { inFolder: boolean; action?: React.ReactNode }) {
  return (
    <EmptyState
      icon={IconServer2}
      title={inFolder ? "No clusters in this folder" : "No clusters"}
      text={
        action
          ? "Create a cluster to get started. It is ready in a few seconds."
          : "You don't have access to any clusters. To create one, ask an organization admin for the Cluster creator role."
      }
      action={action}
    />
  );
}

function latest(clusters: Cluster[], cluster: Cluster): Cluster {
  return clusters.find(({ id }) => id === cluster.id) ?? cluster;
}

function countText(found: number, all: number, complete: boolean): string {
  const total = formatCount(all, "cluster") + (complete ? "" : " so far…");
  return found === all ? total : `${found.toLocaleString("en-US")} of ${total}`;
}
