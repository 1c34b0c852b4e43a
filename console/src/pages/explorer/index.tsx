/** The API explorer: every operation of our own OpenAPI document, to read and to try with one's session. */
import { Anchor } from "@mantine/core";
import { IconApi, IconArrowLeft, IconQuestionMark } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { call } from "../../api/client";
import { Empty } from "../../components/Empty";
import { ErrorNote } from "../../components/ErrorNote";
import { Page } from "../../components/Page";
import { PageLoading } from "../../shell/PageLoading";
import { operations, type Document } from "./document";
import classes from "./explorer.module.css";
import { OperationForm } from "./OperationForm";
import { OperationList } from "./OperationList";

const documentQuery = {
  queryKey: ["openapi"],
  queryFn: ({ signal }: { signal: AbortSignal }) => call<Document>("GET", "/api/v1/openapi.json", undefined, signal),
  staleTime: Infinity,
};

export default function Explorer() {
  const { data: document, error, isPending, refetch } = useQuery(documentQuery);
  return (
    <Page title="API explorer" text="Every operation of the Cloud API. What you send here is sent for real, as you.">
      {isPending && <PageLoading />}
      {error && <ErrorNote error={error} retry={() => void refetch()} />}
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
          <Empty
            icon={IconQuestionMark}
            title={`There is no operation “${chosen}”`}
            text="Choose one from the list; the search finds parts of names and paths."
          />
        )}
        {!chosen && (
          <Empty
            icon={IconApi}
            title="Choose an operation"
            text={`${all.length} operations, version ${document.info.version}. See what each needs, send it with your session, try a change as a dry run, and copy the same as a curl command.`}
          />
        )}
      </div>
    </div>
  );
}
