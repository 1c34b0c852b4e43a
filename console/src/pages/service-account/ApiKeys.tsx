import { ActionIcon, Badge, Button, Text, Tooltip } from "@mantine/core";
import { IconKey, IconPlus, IconTrash } from "@tabler/icons-react";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { CopyButton } from "../../components/CopyButton";
import { DataTable } from "../../components/DataTable";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { RelativeTime } from "../../components/RelativeTime";
import { SectionHeader } from "../../components/Toolbar";
import { useApiKeys, useDeleteKey, type ApiKey, type ServiceAccount } from "../../features/access/data";
import { useNow } from "../../lib/useNow";
import { ApiKeyDialog } from "./ApiKeyDialog";

interface Props {
  account: ServiceAccount;
  /** Whether the user can create and delete keys. */
  canEdit: boolean;
}

/** The API keys of a service account. */
export function ApiKeys({ account, canEdit }: Props) {
  const list = useApiKeys(account.id);
  const [creating, setCreating] = useState(false);
  const [keyToDelete, setKeyToDelete] = useState<ApiKey>();
  const columns = useMemo(() => columnsFor(canEdit ? setKeyToDelete : undefined), [canEdit]);
  const create = canEdit && (
    <Button size="xs" leftSection={<IconPlus size={14} aria-hidden />} onClick={() => setCreating(true)}>
      Create key
    </Button>
  );
  return (
    <>
      <SectionHeader title="API keys" actions={create} />
      {list.error ? (
        <ErrorAlert title="Couldn't load the API keys" error={list.error} retry={() => void list.refetch()} />
      ) : (
        <DataTable
          label="API keys"
          columns={columns}
          data={list.data ?? []}
          rowId={(key) => key.id}
          loading={list.isPending}
          empty={
            <EmptyState
              icon={IconKey}
              title="No API keys"
              text="Programs need an API key to act as this service account."
              action={create}
            />
          }
        />
      )}
      {creating && <ApiKeyDialog account={account} onClose={() => setCreating(false)} />}
      {keyToDelete && (
        <DeleteKeyDialog account={account} apiKey={keyToDelete} onClose={() => setKeyToDelete(undefined)} />
      )}
    </>
  );
}

const Never = () => (
  <Text span size="sm" c="dimmed">
    Never
  </Text>
);

function columnsFor(onDelete?: (key: ApiKey) => void): ColumnDef<ApiKey, any>[] {
  const columns: ColumnDef<ApiKey, any>[] = [
    { accessorKey: "name", header: "Name", meta: { width: "minmax(0, 1fr)" } },
    {
      accessorKey: "id",
      header: "ID",
      enableSorting: false,
      meta: { width: "minmax(0, 1.6fr)" },
      cell: ({ getValue }) => <CopyButton value={getValue()} label="Copy ID" inline />,
    },
    {
      accessorKey: "created_at",
      header: "Created",
      meta: { width: "120px" },
      cell: ({ getValue }) => <RelativeTime time={getValue()} />,
    },
    {
      accessorKey: "last_used_at",
      header: "Last used",
      meta: { width: "120px" },
      cell: ({ getValue }) => (getValue() ? <RelativeTime time={getValue()} /> : <Never />),
    },
    {
      accessorKey: "expiration_time",
      header: "Expires",
      meta: { width: "120px" },
      cell: ({ getValue }) => <Expiration time={getValue()} />,
    },
  ];
  if (!onDelete) return columns;
  return [
    ...columns,
    {
      id: "actions",
      header: () => <span className="visually-hidden">Actions</span>,
      enableSorting: false,
      meta: { width: "40px", align: "right", corner: true },
      cell: ({ row: { original } }) => (
        <Tooltip label="Delete">
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label={`Delete key ${original.name}`}
            onClick={() => onDelete(original)}
          >
            <IconTrash size={16} aria-hidden />
          </ActionIcon>
        </Tooltip>
      ),
    },
  ];
}

function Expiration({ time }: { time?: string | null }) {
  const now = useNow();
  if (!time) return <Never />;
  if (Date.parse(time) > now) return <RelativeTime time={time} future />;
  return (
    <Badge color="gray" variant="light">
      Expired
    </Badge>
  );
}

interface DeleteProps {
  account: ServiceAccount;
  apiKey: ApiKey;
  onClose: () => void;
}

function DeleteKeyDialog({ account, apiKey, onClose }: DeleteProps) {
  const remove = useDeleteKey({ successMessage: "API key deleted", onSuccess: onClose });
  return (
    <ConfirmDialog
      onClose={onClose}
      title={`Delete API key ${apiKey.name}?`}
      action="Delete key"
      name={account.name}
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(apiKey.id)}
    >
      Requests with this key will be rejected. You can't undo this action.
    </ConfirmDialog>
  );
}
