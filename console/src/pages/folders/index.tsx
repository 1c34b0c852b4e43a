/** Folders: the tree at the left, the chosen folder beside it. The choice is in the URL. */
import { IconFolderQuestion } from "@tabler/icons-react";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Anchor } from "@mantine/core";
import { useClusters, useFolders, useSession } from "../../api/queries";
import { Empty } from "../../components/Empty";
import { ErrorNote } from "../../components/ErrorNote";
import { Page } from "../../components/Page";
import { PageLoading } from "../../shell/PageLoading";
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
    <Page
      title="Folders"
      text="A role on a folder counts for everything in it, so put together what the same people look after."
    >
      {folders.isPending && <PageLoading />}
      {folders.error && <ErrorNote error={folders.error} retry={() => void folders.refetch()} />}
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
            <Empty
              icon={IconFolderQuestion}
              title="This folder is not there"
              text="It was deleted, or you may not see it."
              action={<Anchor renderRoot={(props) => <Link {...props} to="/folders" />}>To the top</Anchor>}
            />
          )}
        </div>
      )}
    </Page>
  );
}
