/** The API explorer: every operation of the server's OpenAPI document, to read and to try. */
import { Anchor } from "@mantine/core";
import { IconApi, IconArrowLeft, IconQuestionMark } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { getJson } from "../../api/client";
import { EmptyState } from "../../components/EmptyState";
import { ErrorAlert } from "../../components/ErrorAlert";
import { Page } from "../../components/Page";
import { PageLoading } from "../../components/PageLoading";
import { operations, type Document } from "./document";
import { formatCount } from "../../lib/format";
import classes from "./explorer.module.css";
import { OperationForm } from "./OperationForm";
import { OperationList } from "./OperationList";

const documentQuery = {
  queryKey: ["openapi"],
  queryFn: ({ signal }: { signal: AbortSignal }) => getJson<Document>("/api/v1/openapi.json", signal),
  staleTime: Infinity,
};

export default function Explorer() {
  const { data: document, error, isPending, refetch } = useQuery(documentQuery);
  return (
    <Page
      title="API explorer"
      text="Read about and try every operation of the Cloud API. Requests are sent with your session and take effect."
    >
      {isPending && <PageLoading />}
      {error && <ErrorAlert title="Couldn't load the OpenAPI document" error={error} retry={() => void refetch()} />}
      {document && <Operations document={document} />}
    </Page>
  );
}

function Operations({ document }: { document: Document }) {
  const { operation: chosen, q = "" } = useSearch({ strict: false });
  const navigate = useNavigate();
  const all = useMemo(() => operations(document), [document]);
  const operation = all.find((operation) => operation.id === chosen);
  const search = (q: string) => {
    void navigate({ to: "/explorer", search: { operation: chosen, q: q || undefined }, replace: true });
  };

  return (
    <div className={classes.page}>
      <div className={classes.aside} data-hidden={chosen !== undefined || undefined}>
        <OperationList all={all} chosen={chosen} search={q} onSearch={search} />
      </div>
      <div className={classes.main} data-hidden={chosen === undefined || undefined}>
        <Anchor
          size="sm"
          className={classes.back}
          renderRoot={(props) => <Link {...props} to="/explorer" search={{ q: q || undefined }} />}
        >
          <IconArrowLeft size={16} aria-hidden /> All operations
        </Anchor>
        {operation && <OperationForm key={operation.id} document={document} operation={operation} />}
        {!operation && chosen && (
          <EmptyState
            icon={IconQuestionMark}
            title="Operation not found"
            text={`The API has no operation “${chosen}”. Select one from the list.`}
          />
        )}
        {!chosen && (
          <EmptyState
            icon={IconApi}
            title="Select an operation"
            text={`${formatCount(all.length, "operation")}, API version ${document.info.version}. Send requests, check changes with a dry run, and copy requests as curl commands.`}
          />
        )}
      </div>
    </div>
  );
}
