/** The tree: arrows move and open, Enter chooses. */
import { Tree, useTree, type TreeNodeData } from "@mantine/core";
import { IconBuilding, IconChevronRight, IconFolder, IconFolderOpen } from "@tabler/icons-react";
import { useEffect, useMemo } from "react";
import type { Cluster, FolderResource } from "../../api/client";
import classes from "./folders.module.css";
import { branches, clustersIn, ROOT, type Branch } from "./tree";

interface Props {
  folders: FolderResource[];
  clusters: Cluster[];
  organization: string;
  chosen: string;
  onChoose: (id: string) => void;
}

export function FolderTree({ folders, clusters, organization, chosen, onChoose }: Props) {
  const data = useMemo<TreeNodeData[]>(
    () => [{ value: ROOT, label: organization, children: branches(folders).map(node) }],
    [folders, organization],
  );
  const tree = useTree({ initialExpandedState: { [ROOT]: true }, selectedState: [chosen] });
  const above = folders.find((folder) => folder.resource_id === chosen)?.path;
  const { setExpandedState, expandedState } = tree;
  useEffect(() => {
    const open = Object.fromEntries((above ?? []).map((segment) => [segment.id, true]));
    setExpandedState({ ...expandedState, ...open, [ROOT]: true });
    // Only what was chosen opens the way to it; what a person closes stays closed.
  }, [chosen, above?.length]);

  return (
    <Tree
      data={data}
      tree={tree}
      className={classes.tree}
      levelOffset={20}
      expandOnClick={false}
      allowRangeSelection={false}
      aria-label="Folders"
      onKeyDown={(event) => {
        const item = event.target instanceof HTMLElement ? event.target.closest<HTMLElement>("[role=treeitem]") : null;
        if (event.key === "Enter" && item?.dataset.value) onChoose(item.dataset.value);
      }}
      renderNode={({ node, expanded, hasChildren, elementProps, tree }) => (
        <div
          {...elementProps}
          className={`${elementProps.className} ${classes.node}`}
          data-chosen={node.value === chosen || undefined}
          onClick={(event) => {
            elementProps.onClick(event);
            onChoose(node.value);
          }}
        >
          <span
            className={classes.chevron}
            data-expanded={expanded || undefined}
            data-hidden={!hasChildren || undefined}
            onClick={(event) => {
              event.stopPropagation();
              tree.toggleExpanded(node.value);
            }}
            aria-hidden
          >
            <IconChevronRight size={15} />
          </span>
          <Sign id={node.value} open={expanded && hasChildren} />
          <span className={classes.label}>{node.label}</span>
          <Count clusters={clustersIn(clusters, node.value).length} />
        </div>
      )}
    />
  );
}

function node({ folder, children }: Branch): TreeNodeData {
  return { value: folder.resource_id, label: folder.name, children: children.map(node) };
}

function Sign({ id, open }: { id: string; open: boolean }) {
  const Icon = id === ROOT ? IconBuilding : open ? IconFolderOpen : IconFolder;
  return <Icon size={17} stroke={1.6} aria-hidden className={classes.sign} />;
}

function Count({ clusters }: { clusters: number }) {
  if (clusters === 0) return null;
  return (
    <span className={classes.count} title={`${clusters} ${clusters === 1 ? "cluster" : "clusters"} here`}>
      {clusters}
    </span>
  );
}
