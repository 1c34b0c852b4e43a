import { Select } from "@mantine/core";
import { useFolders } from "../../api/queries";
import { folderPath } from "./words";

interface Props {
  value: string;
  onChange: (id: string) => void;
  label?: string;
  description?: string;
}

/** A folder by its path; `root` is the top. */
export function FolderSelect({ value, onChange, label = "Folder", description }: Props) {
  const folders = useFolders().data ?? [];
  const data = folders
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
      nothingFoundMessage="No folder of this name"
    />
  );
}
