import { Alert, Button, Text } from "@mantine/core";
import { IconDownload, IconInfoCircle } from "@tabler/icons-react";
import { ApiError } from "../../api/client";
import { ErrorAlert } from "../../components/ErrorAlert";
import { downloadCsv } from "../../lib/download";
import { formatCount, formatDuration } from "../../lib/format";
import { csv, lineAndColumn, summarize } from "./result";
import { ResultTable } from "./ResultTable";
import type { Outcome } from "./statement";
import classes from "./Sql.module.css";

/** SQLSTATE of a statement that writes in a read-only transaction. */
const READ_ONLY_TRANSACTION = "25006";

interface Props {
  outcome: Outcome | null;
  /** Whether changes are allowed. */
  write: boolean;
}

/** The result or the error of the last statement. */
export function ResultPanel({ outcome, write }: Props) {
  if (outcome === null) {
    return (
      <Text c="dimmed" ta="center" py="xl">
        Run a statement to see its result.
      </Text>
    );
  }
  if (outcome.error) return <StatementError outcome={outcome} write={write} />;
  const { result, request } = outcome;
  if (!result) return null;
  return (
    <section className={classes.result} aria-label="Result">
      <div className={classes.summary}>
        <Text size="sm" fw={600} role="status" className="tabular">
          {request.explain ? `Query plan in ${formatDuration(result.elapsed_ms)}` : summarize(result)}
        </Text>
        {result.truncated && (
          <Text size="sm" c="dimmed">
            Showing the first {formatCount(result.rows.length, "row")}. Add a LIMIT or WHERE clause to see others.
          </Text>
        )}
        {result.columns.length > 0 && !request.explain && (
          <Button
            ml="auto"
            size="xs"
            variant="default"
            onClick={() => downloadCsv("result.csv", csv(result))}
            leftSection={<IconDownload size={14} aria-hidden />}
          >
            Export CSV
          </Button>
        )}
      </div>
      {result.notices.length > 0 && (
        <Alert variant="light" color="blue" icon={<IconInfoCircle size={18} aria-hidden />} title="Notices">
          {result.notices.map((notice, index) => (
            <Text key={`${index}-${notice}`} size="sm" className={classes.notice}>
              {notice}
            </Text>
          ))}
        </Alert>
      )}
      {request.explain ? (
        <pre className={`panel ${classes.plan}`} tabIndex={0} role="region" aria-label="Query plan">
          {result.rows.map((row) => row.join(" ")).join("\n")}
        </pre>
      ) : result.columns.length > 0 ? (
        <ResultTable result={result} />
      ) : null}
    </section>
  );
}

/** An error with its SQLSTATE and its position in the statement. */
function StatementError({ outcome, write }: Props & { outcome: Outcome }) {
  const { error, request, cause } = outcome;
  if (!error) return null;
  const position = error.offset === null ? null : lineAndColumn(request.statement, error.offset);
  const where = position && `line ${position.line}, column ${position.column}`;
  const shown = cause instanceof ApiError ? new ApiError(cause.status, error.text, cause.traceId) : cause;
  const title = [error.state && `Error ${error.state}`, where].filter(Boolean).join(" at ");
  return (
    <section className={classes.result} aria-label="Result">
      <ErrorAlert title={title || "Couldn't run the statement"} error={shown} />
      {error.state === READ_ONLY_TRANSACTION && !write && (
        <Text size="sm" c="dimmed">
          This statement changes data. Turn on <b>Allow changes</b> and run it again.
        </Text>
      )}
    </section>
  );
}
