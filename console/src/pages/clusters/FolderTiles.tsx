import { IconFolder } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import type { Cluster, FolderResource } from "../../api/client";
import { inFolder } from "./rows";
import classes from "./clusters.module.css";

interface Props {
  folders: FolderResource[];
  parent: string;
  clusters: Cluster[];
}

/** The subfolders of a folder, with the number of clusters in each. */
export function FolderTiles({ folders, parent, clusters }: Props) {
  const tiles = useMemo(
    () =>
      folders
        .filter(({ parent_id }) => parent_id === parent)
        .map((folder) => ({ folder, count: inFolder(clusters, folders, folder.resource_id).length })),
    [folders, parent, clusters],
  );
  if (tiles.length === 0) return null;
  return (
    <nav aria-label="Folders">
      <ul className={classes.tiles}>
        {tiles.map(({ folder, count }) => (
          <li key={folder.resource_id}>
            <Link to="/folders/$folderId" params={{ folderId: folder.resource_id }} className={`panel ${classes.tile}`}>
              <IconFolder size={17} aria-hidden />
              <span className={classes.tileName}>{folder.name}</span>
              <span className={`tabular ${classes.tileCount}`}>
                {count}
                <span className="visually-hidden"> clusters</span>
              </span>
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}
