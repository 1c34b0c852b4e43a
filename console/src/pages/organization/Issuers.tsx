import { ActionIcon, Button, Tooltip } from "@mantine/core";
import { IconCertificate, IconPlus, IconTrash } from "@tabler/icons-react";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { DataTable } from "../../components/DataTable";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { SectionHeader } from "../../components/Toolbar";
import { useDeleteIssuer, useIssuers, type Issuer } from "./data";
import { IssuerDialog } from "./IssuerDialog";
import classes from "./organization.module.css";

/** The JWT issuers whose tokens the server accepts. */
export function Issuers() {
  const issuers = useIssuers(true);
  const [adding, setAdding] = useState(false);
  const [issuerToDelete, setIssuerToDelete] = useState<Issuer>();
  const columns = useMemo(() => columnsFor(setIssuerToDelete), []);
  const add = (
    <Button size="xs" leftSection={<IconPlus size={14} aria-hidden />} onClick={() => setAdding(true)}>
      Add issuer
    </Button>
  );
  return (
    <section className={classes.section} aria-labelledby="issuers">
      <SectionHeader
        id="issuers"
        title="JWT issuers"
        text="Users and programs can authenticate with tokens of these issuers instead of passwords and API keys."
        actions={add}
      />
      {issuers.error ? (
        <ErrorAlert title="Couldn't load the issuers" error={issuers.error} retry={() => void issuers.refetch()} />
      ) : (
        <DataTable
          label="JWT issuers"
          columns={columns}
          data={issuers.data ?? []}
          rowId={(issuer) => issuer.id}
          loading={issuers.isPending}
          empty={
            <EmptyState
              icon={IconCertificate}
              title="No issuers"
              text="Add your identity provider or CI system to authenticate with its tokens instead of long-lived API keys."
            />
          }
        />
      )}
      {adding && <IssuerDialog onClose={() => setAdding(false)} />}
      {issuerToDelete && <DeleteDialog issuer={issuerToDelete} onClose={() => setIssuerToDelete(undefined)} />}
    </section>
  );
}

function DeleteDialog({ issuer, onClose }: { issuer: Issuer; onClose: () => void }) {
  const remove = useDeleteIssuer(onClose);
  return (
    <ConfirmDialog
      onClose={onClose}
      title="Delete issuer?"
      action="Delete issuer"
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(issuer.id)}
    >
      {`Tokens of ${issuer.issuer_url} will be rejected. You can't undo this action.`}
    </ConfirmDialog>
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
      header: "Identity map",
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
