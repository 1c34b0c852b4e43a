/** Roles as badges: what, and where it is held. */
import { Badge, Group, Text, Tooltip } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { clusterQuery, useFolders } from "../../api/queries";
import { grantKey, roleInfo, roleLabel, worthShowing, type Grant } from "./roles";

export function RoleList({ grants }: { grants: Grant[] }) {
  const shown = worthShowing(grants);
  if (shown.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        Member
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
    <Tooltip label={roleInfo(grant.name)?.meaning ?? grant.name}>
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
