import { ActionIcon, Button, NativeSelect, Select, Stack, Text, type ComboboxItem } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { useMemo } from "react";
import { useClusters, useFolders } from "../../api/queries";
import classes from "./RolesField.module.css";
import { roleInfo, ROLES, type Grant, type Scope } from "./roles";

const SCOPE_NAMES: Record<Scope, string> = { ORGANIZATION: "Organization", FOLDER: "Folder", CLUSTER: "Cluster" };
const ROLE_ITEMS = ROLES.map((role) => ({ value: role.name, label: role.label }));

/** The roles that a new row suggests, those with the fewest permissions first. */
const SUGGESTED = ["CLUSTER_DEVELOPER", "CLUSTER_MONITOR", "METRICS_VIEWER", "CLUSTER_OPERATOR_WRITER"];

interface Props {
  value: Grant[];
  onChange: (grants: Grant[]) => void;
  /** What the list says without roles. */
  empty: string;
  /** Offers only roles on the whole organization. */
  organizationOnly?: boolean;
}

/** A list of roles to edit: which role, and on which resource. */
export function RolesField({ value, onChange, empty, organizationOnly = false }: Props) {
  const replace = (index: number, grant: Grant) => onChange(value.with(index, grant));
  const next = SUGGESTED.find(
    (name) => !value.some((grant) => grant.name === name && grant.resource.type === "ORGANIZATION"),
  );
  const add = () => onChange([...value, { name: next ?? "CLUSTER_DEVELOPER", resource: { type: "ORGANIZATION" } }]);
  return (
    <Stack gap="xs" role="group" aria-label="Roles">
      {value.map((grant, index) => (
        <RoleRow
          key={index}
          number={index + 1}
          grant={grant}
          organizationOnly={organizationOnly}
          onChange={(grant) => replace(index, grant)}
          onRemove={() => onChange(value.toSpliced(index, 1))}
        />
      ))}
      {value.length === 0 && (
        <Text size="sm" c="dimmed">
          {empty}
        </Text>
      )}
      <div>
        <Button variant="default" size="xs" leftSection={<IconPlus size={14} aria-hidden />} onClick={add}>
          Add role
        </Button>
      </div>
    </Stack>
  );
}

interface RowProps {
  number: number;
  grant: Grant;
  organizationOnly: boolean;
  onChange: (grant: Grant) => void;
  onRemove: () => void;
}

function RoleRow({ number, grant, organizationOnly, onChange, onRemove }: RowProps) {
  const scopes: Scope[] = organizationOnly ? ["ORGANIZATION"] : (roleInfo(grant.name)?.scopes ?? ["ORGANIZATION"]);
  const { type, id } = grant.resource;
  const choose = (name: string) => {
    const allowed = roleInfo(name)?.scopes ?? ["ORGANIZATION"];
    onChange({ name, resource: allowed.includes(type as Scope) ? grant.resource : { type: "ORGANIZATION" } });
  };
  const setResource = (id: string) => onChange({ ...grant, resource: { type, id } });
  return (
    <div className={classes.row} data-resource={type !== "ORGANIZATION" || undefined}>
      <Select
        aria-label={`Role ${number}`}
        data={ROLE_ITEMS}
        value={grant.name}
        onChange={(name) => name && choose(name)}
        renderOption={({ option }) => <RoleOption option={option} />}
        searchable
        allowDeselect={false}
        comboboxProps={{ width: 320, position: "bottom-start" }}
      />
      <NativeSelect
        className={classes.scope}
        aria-label={`Scope of role ${number}`}
        data={scopes.map((scope) => ({ value: scope, label: SCOPE_NAMES[scope] }))}
        value={type}
        onChange={(event) => onChange({ ...grant, resource: { type: event.currentTarget.value } })}
      />
      {type === "FOLDER" && <FolderField label={`Folder of role ${number}`} value={id} onChange={setResource} />}
      {type === "CLUSTER" && <ClusterField label={`Cluster of role ${number}`} value={id} onChange={setResource} />}
      <ActionIcon variant="subtle" color="gray" size="lg" aria-label={`Remove role ${number}`} onClick={onRemove}>
        <IconTrash size={16} aria-hidden />
      </ActionIcon>
    </div>
  );
}

function RoleOption({ option }: { option: ComboboxItem }) {
  return (
    <div>
      <Text size="sm">{option.label}</Text>
      <Text size="xs" c="dimmed">
        {roleInfo(option.value)?.description}
      </Text>
    </div>
  );
}

interface ResourceProps {
  label: string;
  value?: string | null;
  onChange: (id: string) => void;
}

function FolderField(props: ResourceProps) {
  const folders = useFolders();
  const data = useMemo(
    () =>
      (folders.data ?? [])
        .map((folder) => ({
          value: folder.resource_id,
          label: [...folder.path.map((segment) => segment.name), folder.name].join(" / "),
        }))
        .sort((one, other) => one.label.localeCompare(other.label)),
    [folders.data],
  );
  return <ResourceField {...props} data={data} nothingFound="No folders" />;
}

function ClusterField(props: ResourceProps) {
  const { clusters } = useClusters();
  const data = useMemo(() => clusters.map((cluster) => ({ value: cluster.id, label: cluster.name })), [clusters]);
  return <ResourceField {...props} data={data} nothingFound="No clusters" />;
}

interface ResourceFieldProps extends ResourceProps {
  data: ComboboxItem[];
  nothingFound: string;
}

function ResourceField({ label, value, onChange, data, nothingFound }: ResourceFieldProps) {
  return (
    <Select
      aria-label={label}
      placeholder="Select…"
      data={data}
      value={value ?? null}
      onChange={(id) => id && onChange(id)}
      searchable
      limit={100}
      allowDeselect={false}
      nothingFoundMessage={nothingFound}
    />
  );
}
