/** The API keys of a service account. */
import { ActionIcon, Badge, Button, Text, Title, Tooltip } from "@mantine/core";
import { IconKey, IconPlus, IconTrash } from "@tabler/icons-react";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import { Confirm } from "../../components/Confirm";
import { Copy } from "../../components/Copy";
import { DataTable } from "../../components/DataTable";
import { Empty } from "../../components/Empty";
import { ErrorNote } from "../../components/ErrorNote";
import { TimeAgo } from "../../components/TimeAgo";
import classes from "./access.module.css";
import { useApiKeys, useDeleteKey, type ApiKey, type ServiceAccount } from "./data";
import { KeyDialog } from "./KeyDialog";

interface Props {
  account: ServiceAccount;
  /** Whether the one who is signed in may create and delete keys. */
  mayChange: boolean;
}

export function Keys({ account, mayChange }: Props) {
  const list = useApiKeys(account.id);
  const [creating, setCreating] = useState(false);
  const [doomed, setDoomed] = useState<ApiKey>();
  const columns = useMemo(() => columnsFor(mayChange ? setDoomed : undefined), [mayChange]);
  const create = mayChange && (
    <Button size="xs" leftSection={<IconPlus size={14} aria-hidden />} onClick={() => setCreating(true)}>
      Create key
    </Button>
  );
  return (
    <>
      <div className={classes.section}>
        <Title order={2}>API keys</Title>
        {create}
      </div>
      {list.error ? (
        <ErrorNote error={list.error} retry={() => void list.refetch()} />
      ) : (
        <DataTable
          label="API keys"
          columns={columns}
          data={list.data ?? []}
          rowId={(key) => key.id}
          loading={list.isPending}
          empty={
            <Empty
              icon={IconKey}
              title="No keys yet"
              text="Without a key nothing can act as this account."
              action={create}
            />
          }
        />
      )}
      <KeyDialog account={account} opened={creating} onClose={() => setCreating(false)} />
      <Delete account={account} apiKey={doomed} onClose={() => setDoomed(undefined)} />
    </>
  );
}

function columnsFor(onDelete?: (key: ApiKey) => void): ColumnDef<ApiKey, any>[] {
  const columns: ColumnDef<ApiKey, any>[] = [
    { accessorKey: "name", header: "Name", meta: { width: "minmax(0, 1fr)" } },
    {
      accessorKey: "id",
      header: "Id",
      enableSorting: false,
      meta: { width: "minmax(0, 1.6fr)" },
      cell: ({ getValue }) => <Copy value={getValue()} label="Copy id" inline />,
    },
    {
      accessorKey: "created_at",
      header: "Created",
      meta: { width: "120px" },
      cell: ({ getValue }) => <TimeAgo time={getValue()} />,
    },
    {
      accessorKey: "last_used_at",
      header: "Last used",
      meta: { width: "120px" },
      cell: ({ getValue }) =>
        getValue() ? (
          <TimeAgo time={getValue()} />
        ) : (
          <Text span size="sm" c="dimmed">
            Never
          </Text>
        ),
    },
    {
      accessorKey: "expiration_time",
      header: "Ends",
      meta: { width: "120px" },
      cell: ({ getValue }) => <End time={getValue()} />,
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

function End({ time }: { time?: string | null }) {
  if (!time)
    return (
      <Text span size="sm" c="dimmed">
        Never
      </Text>
    );
  if (Date.parse(time) <= Date.now())
    return (
      <Badge color="gray" variant="light">
        Ended
      </Badge>
    );
  return <TimeAgo time={time} />;
}

function Delete({ account, apiKey, onClose }: { account: ServiceAccount; apiKey?: ApiKey; onClose: () => void }) {
  const remove = useDeleteKey({ done: "The key is deleted", onSuccess: onClose });
  return (
    <Confirm
      opened={apiKey !== undefined}
      onClose={() => {
        remove.reset();
        onClose();
      }}
      title={`Delete the key ${apiKey?.name ?? ""}?`}
      action="Delete key"
      name={account.name}
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => apiKey && remove.mutate(apiKey.id)}
    >
      Whatever uses it is refused from then on. This can not be undone.
    </Confirm>
  );
}
