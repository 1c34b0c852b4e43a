import { Select } from "@mantine/core";
import { useFolders } from "../../api/queries";
import { folderPath } from "./format";

interface Props {
  value: string;
  onChange: (id: string) => void;
  label?: string;
  description?: string;
  /** Folders that can't be chosen. */
  exclude?: Set<string>;
}

/** Selects a folder by its path; `root` stands for none. */
export function FolderSelect({ value, onChange, label = "Folder", description, exclude }: Props) {
  const folders = useFolders().data ?? [];
  const data = folders
    .filter(({ resource_id }) => !exclude?.has(resource_id))
    .map(({ resource_id }) => ({ value: resource_id, label: folderPath(folders, resource_id) }))
    .sort((one, other) => one.label.localeCompare(other.label));
  return (
    <Select
      label={label}
      description={description}
      data={[{ value: "root", label: "No folder" }, ...data]}
      value={value || "root"}
      onChange={(id) => onChange(id ?? "root")}
      searchable
      allowDeselect={false}
      nothingFoundMessage="No folders match"
    />
  );
}
