import { Badge, Group, Text, Tooltip } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { clusterQuery, useFolders } from "../../api/queries";
import { grantKey, roleInfo, roleLabel, withoutMember, type Grant } from "./roles";

/** Roles as badges, each with its scope. */
export function RoleList({ grants, empty = "None" }: { grants: Grant[]; empty?: string }) {
  const shown = withoutMember(grants);
  if (shown.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        {empty}
      </Text>
    );
  }
  return (
    <Group gap={6}>
      {shown.map((grant) => (
        <RoleBadge key={grantKey(grant)} grant={grant} />
      ))}
    </Group>
  );
}

export function RoleBadge({ grant }: { grant: Grant }) {
  const { type, id } = grant.resource;
  return (
    <Tooltip label={roleInfo(grant.name)?.description ?? grant.name}>
      <Badge variant="default" radius="sm" tt="none" fw={500} tabIndex={-1}>
        {roleLabel(grant.name)}
        {type === "FOLDER" && <FolderName id={id ?? ""} />}
        {type === "CLUSTER" && <ClusterName id={id ?? ""} />}
      </Badge>
    </Tooltip>
  );
}

function FolderName({ id }: { id: string }) {
  const folder = useFolders().data?.find((folder) => folder.resource_id === id);
  return <> · {folder?.name ?? `folder ${id.slice(0, 8)}`}</>;
}

function ClusterName({ id }: { id: string }) {
  const { data } = useQuery({ ...clusterQuery(id), staleTime: 60_000 });
  return <> · {data?.name ?? `cluster ${id.slice(0, 8)}`}</>;
}
