import { Alert, Button, Text } from "@mantine/core";
import { IconDownload, IconInfoCircle } from "@tabler/icons-react";
import { ApiError } from "../../api/client";
import type { SqlResult } from "../../api/extensions";
import { ErrorNote } from "../../components/ErrorNote";
import { ResultTable } from "./ResultTable";
import { csv, duration, place, summary } from "./result";
import type { Outcome } from "./statement";
import classes from "./Sql.module.css";

/** What the last statement came to. */
export function Answer({ outcome, write }: { outcome: Outcome | null; write: boolean }) {
  if (outcome === null) {
    return (
      <Text c="dimmed" ta="center" py="xl">
        The answer appears here.
      </Text>
    );
  }
  if (outcome.problem) return <Refused outcome={outcome} write={write} />;
  const { result, wish } = outcome;
  if (!result) return null;
  return (
    <section className={classes.answer} aria-label="Answer">
      <div className={classes.summary}>
        <Text size="sm" fw={600} role="status" className="tabular">
          {wish.explain ? `Plan in ${duration(result.elapsed_ms)}` : summary(result)}
        </Text>
        {result.truncated && (
          <Text size="sm" c="dimmed">
            Cut off after {result.rows.length.toLocaleString("en-US")} rows: add a LIMIT or a WHERE to see others.
          </Text>
        )}
        {result.columns.length > 0 && !wish.explain && (
          <Button
            ml="auto"
            size="xs"
            variant="default"
            onClick={() => save(result)}
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
      {wish.explain ? (
        <pre className={`panel ${classes.plan}`} tabIndex={0} role="region" aria-label="Query plan">
          {result.rows.map((row) => row.join(" ")).join("\n")}
        </pre>
      ) : result.columns.length > 0 ? (
        <ResultTable result={result} />
      ) : null}
    </section>
  );
}

/** A statement that was refused, with where and why. */
function Refused({ outcome, write }: { outcome: Outcome; write: boolean }) {
  const { problem, wish, error } = outcome;
  if (!problem) return null;
  const at = problem.offset === null ? null : place(wish.statement, problem.offset);
  const where = at && `line ${at.line}, column ${at.column}`;
  const said = error instanceof ApiError ? new ApiError(error.status, problem.text, error.traceId) : error;
  const title = [problem.state && `Error ${problem.state}`, where].filter(Boolean).join(" at ");
  return (
    <section className={classes.answer} aria-label="Answer">
      <ErrorNote title={title || "The statement was refused"} error={said} />
      {problem.state === "25006" && !write && (
        <Text size="sm" c="dimmed">
          The statement would change something. Switch on <b>Allow changes</b> and run it again.
        </Text>
      )}
    </section>
  );
}

function save(result: SqlResult) {
  const url = URL.createObjectURL(new Blob([csv(result)], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = "result.csv";
  link.click();
  URL.revokeObjectURL(url);
}
