/** Folders: the tree, and the contents of the selected folder. The URL holds the selection. */
import { IconFolderQuestion } from "@tabler/icons-react";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Anchor } from "@mantine/core";
import { useClusters, useFolders, useSession } from "../../api/queries";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { Page } from "../../components/Page";
import { PageLoading } from "../../components/PageLoading";
import { Contents } from "./Contents";
import classes from "./folders.module.css";
import { FolderTree } from "./FolderTree";
import { ROOT } from "./tree";

export default function Folders() {
  const { folder: chosen = ROOT } = useSearch({ strict: false });
  const navigate = useNavigate();
  const folders = useFolders();
  const { clusters } = useClusters();
  const organization = useSession()?.organization.name ?? "Organization";
  const folder = folders.data?.find(({ resource_id }) => resource_id === chosen);
  const choose = (id: string) => void navigate({ to: "/folders", search: { folder: id === ROOT ? undefined : id } });

  return (
    <Page title="Folders" text="Organize clusters into folders. Roles on a folder apply to everything in it.">
      {folders.isPending && <PageLoading />}
      {folders.error && (
        <ErrorAlert title="Couldn't load folders" error={folders.error} retry={() => void folders.refetch()} />
      )}
      {folders.data && (
        <div className={classes.page}>
          <div className={`panel ${classes.aside}`}>
            <FolderTree
              folders={folders.data}
              clusters={clusters}
              organization={organization}
              chosen={chosen}
              onChoose={choose}
            />
          </div>
          {folder || chosen === ROOT ? (
            <Contents
              key={chosen}
              folders={folders.data}
              clusters={clusters}
              folder={folder}
              organization={organization}
              onChoose={choose}
            />
          ) : (
            <EmptyState
              icon={IconFolderQuestion}
              title="Folder not found"
              text="The folder was deleted, or you don't have permission to view it."
              action={<Anchor renderRoot={(props) => <Link {...props} to="/folders" />}>View top-level folders</Anchor>}
            />
          )}
        </div>
      )}
    </Page>
  );
}
