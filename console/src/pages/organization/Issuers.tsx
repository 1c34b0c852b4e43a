/** Whose tokens are accepted beside API keys. */
import { ActionIcon, Button, Text, Title, Tooltip } from "@mantine/core";
import { IconCertificate, IconPlus, IconTrash } from "@tabler/icons-react";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import { Confirm } from "../../components/Confirm";
import { DataTable } from "../../components/DataTable";
import { Empty } from "../../components/Empty";
import { ErrorNote } from "../../components/ErrorNote";
import { useDeleteIssuer, useIssuers, type Issuer } from "./data";
import { IssuerDialog } from "./IssuerDialog";
import classes from "./organization.module.css";

export function Issuers() {
  const issuers = useIssuers(true);
  const [adding, setAdding] = useState(false);
  const [doomed, setDoomed] = useState<Issuer>();
  const columns = useMemo(() => columnsFor(setDoomed), []);
  const add = (
    <Button size="xs" leftSection={<IconPlus size={14} aria-hidden />} onClick={() => setAdding(true)}>
      Add issuer
    </Button>
  );
  return (
    <section className={classes.section} aria-labelledby="issuers">
      <div className={classes.bar}>
        <div>
          <Title order={2} id="issuers">
            JWT issuers
          </Title>
          <Text size="sm" c="dimmed">
            Programs and people may come in with tokens of these, in place of API keys and passwords.
          </Text>
        </div>
        {add}
      </div>
      {issuers.error ? (
        <ErrorNote error={issuers.error} retry={() => void issuers.refetch()} />
      ) : (
        <DataTable
          label="JWT issuers"
          columns={columns}
          data={issuers.data ?? []}
          rowId={(issuer) => issuer.id}
          loading={issuers.isPending}
          empty={
            <Empty
              icon={IconCertificate}
              title="No issuers"
              text="Add the issuer of your identity provider or of your pipelines, so that nobody keeps a long-lived key."
            />
          }
        />
      )}
      {adding && <IssuerDialog onClose={() => setAdding(false)} />}
      {doomed && <Delete issuer={doomed} onClose={() => setDoomed(undefined)} />}
    </section>
  );
}

function Delete({ issuer, onClose }: { issuer: Issuer; onClose: () => void }) {
  const remove = useDeleteIssuer(onClose);
  return (
    <Confirm
      opened
      onClose={onClose}
      title="Delete this issuer?"
      action="Delete issuer"
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(issuer.id)}
    >
      {`Tokens of ${issuer.issuer_url} are refused from then on.`}
    </Confirm>
  );
}

function columnsFor(onDelete: (issuer: Issuer) => void): ColumnDef<Issuer, any>[] {
  return [
    { accessorKey: "issuer_url", header: "Issuer", meta: { width: "minmax(0, 2fr)" } },
    { accessorKey: "audience", header: "Audience", meta: { width: "minmax(0, 1fr)" } },
    {
      accessorKey: "claim",
      header: "Claim",
      enableSorting: false,
      meta: { width: "100px" },
      cell: ({ getValue }) => getValue() || "sub",
    },
    {
      id: "identities",
      header: "Identities",
      enableSorting: false,
      meta: { width: "minmax(0, 2fr)" },
      cell: ({ row }) => (
        <div className={classes.identities}>
          {row.original.identity_map.map((line, index) => (
            <div key={index}>
              {line.token_identity} → {line.cc_identity}
            </div>
          ))}
        </div>
      ),
    },
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
            aria-label={`Delete issuer ${original.issuer_url}`}
            onClick={() => onDelete(original)}
          >
            <IconTrash size={16} aria-hidden />
          </ActionIcon>
        </Tooltip>
      ),
    },
  ];
}
