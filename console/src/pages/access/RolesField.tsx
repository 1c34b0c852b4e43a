/** A list of roles to edit: which role, and on what. */
import { ActionIcon, Button, NativeSelect, Select, Stack, Text, type ComboboxItem } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { useMemo } from "react";
import { useClusters, useFolders } from "../../api/queries";
import classes from "./access.module.css";
import { roleInfo, ROLES, type Grant, type Scope } from "./roles";

const SCOPES: Record<Scope, string> = { ORGANIZATION: "Organization", FOLDER: "Folder", CLUSTER: "Cluster" };
const ROLE_ITEMS = ROLES.map((role) => ({ value: role.name, label: role.label }));

/** What a new line begins with: never more than somebody would give without a second look. */
const HARMLESS = ["CLUSTER_DEVELOPER", "CLUSTER_MONITOR", "METRICS_VIEWER", "CLUSTER_OPERATOR_WRITER"];

interface Props {
  value: Grant[];
  onChange: (grants: Grant[]) => void;
  /** Only roles on the whole organization. */
  organizationOnly?: boolean;
}

export function RolesField({ value, onChange, organizationOnly = false }: Props) {
  const replace = (index: number, grant: Grant) => onChange(value.with(index, grant));
  const next = HARMLESS.find(
    (name) => !value.some((grant) => grant.name === name && grant.resource.type === "ORGANIZATION"),
  );
  return (
    <Stack gap="xs" role="group" aria-label="Roles">
      {value.map((grant, index) => (
        <Line
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
          No roles: a member may sign in, and sees the organization, but no cluster.
        </Text>
      )}
      <div>
        <Button
          variant="default"
          size="xs"
          leftSection={<IconPlus size={14} aria-hidden />}
          onClick={() =>
            onChange([...value, { name: next ?? "CLUSTER_DEVELOPER", resource: { type: "ORGANIZATION" } }])
          }
        >
          Add a role
        </Button>
      </div>
    </Stack>
  );
}

interface LineProps {
  number: number;
  grant: Grant;
  organizationOnly: boolean;
  onChange: (grant: Grant) => void;
  onRemove: () => void;
}

function Line({ number, grant, organizationOnly, onChange, onRemove }: LineProps) {
  const info = roleInfo(grant.name);
  const scopes = organizationOnly ? (["ORGANIZATION"] as Scope[]) : (info?.scopes ?? ["ORGANIZATION"]);
  const { type, id } = grant.resource;
  const choose = (name: string) => {
    const allowed = roleInfo(name)?.scopes ?? ["ORGANIZATION"];
    const kept = allowed.includes(type as Scope) ? grant.resource : { type: "ORGANIZATION" };
    onChange({ name, resource: kept });
  };
  return (
    <div className={classes.line} data-place={type !== "ORGANIZATION" || undefined}>
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
        className={classes.where}
        aria-label={`Where role ${number} is held`}
        data={scopes.map((scope) => ({ value: scope, label: SCOPES[scope] }))}
        value={type}
        onChange={(event) => onChange({ ...grant, resource: { type: event.currentTarget.value } })}
      />
      {type === "FOLDER" && (
        <FolderSelect
          label={`Folder of role ${number}`}
          value={id}
          onChange={(id) => onChange({ ...grant, resource: { type, id } })}
        />
      )}
      {type === "CLUSTER" && (
        <ClusterSelect
          label={`Cluster of role ${number}`}
          value={id}
          onChange={(id) => onChange({ ...grant, resource: { type, id } })}
        />
      )}
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
        {roleInfo(option.value)?.meaning}
      </Text>
    </div>
  );
}

interface PlaceProps {
  label: string;
  value?: string | null;
  onChange: (id: string) => void;
}

function FolderSelect({ label, value, onChange }: PlaceProps) {
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
  return <PlaceSelect label={label} value={value} onChange={onChange} data={data} nothing="There is no folder" />;
}

function ClusterSelect({ label, value, onChange }: PlaceProps) {
  const { clusters } = useClusters();
  const data = useMemo(() => clusters.map((cluster) => ({ value: cluster.id, label: cluster.name })), [clusters]);
  return <PlaceSelect label={label} value={value} onChange={onChange} data={data} nothing="There is no cluster" />;
}

function PlaceSelect({
  label,
  value,
  onChange,
  data,
  nothing,
}: PlaceProps & { data: ComboboxItem[]; nothing: string }) {
  return (
    <Select
      aria-label={label}
      placeholder="Choose…"
      data={data}
      value={value ?? null}
      onChange={(id) => id && onChange(id)}
      searchable
      limit={100}
      allowDeselect={false}
      nothingFoundMessage={nothing}
    />
  );
}
