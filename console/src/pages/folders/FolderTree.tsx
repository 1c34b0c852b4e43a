/** The tree of folders. The arrow keys move the focus and expand folders; Enter selects one. */
import { Tree, useTree, type TreeNodeData } from "@mantine/core";
import { IconBuilding, IconChevronRight, IconFolder, IconFolderOpen } from "@tabler/icons-react";
import { useEffect, useEffectEvent, useMemo } from "react";
import type { Cluster, FolderResource } from "../../api/client";
import { formatCount } from "../../lib/format";
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
  const depth = above?.length ?? 0;
  // Only selecting a folder expands the folders above it; a folder that the user collapses stays collapsed.
  const expandAncestors = useEffectEvent(() => {
    const ancestors = Object.fromEntries((above ?? []).map((segment) => [segment.id, true]));
    tree.setExpandedState({ ...tree.expandedState, ...ancestors, [ROOT]: true });
  });
  useEffect(() => {
    expandAncestors();
  }, [chosen, depth]);

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
          <NodeIcon id={node.value} open={expanded && hasChildren} />
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

function NodeIcon({ id, open }: { id: string; open: boolean }) {
  const Icon = id === ROOT ? IconBuilding : open ? IconFolderOpen : IconFolder;
  return <Icon size={17} stroke={1.6} aria-hidden className={classes.icon} />;
}

function Count({ clusters }: { clusters: number }) {
  if (clusters === 0) return null;
  return (
    <span className={classes.count} title={formatCount(clusters, "cluster")}>
      {clusters}
    </span>
  );
}
