/** The statement in the editor, and its execution. The URL holds the statement, so that it can be shared. */
import { useDebouncedCallback } from "@mantine/hooks";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { errorMessage } from "../../api/client";
import { sql, type SqlRequest, type SqlResult } from "../../api/extensions";
import { keys } from "../../api/queries";
import type { HistoryEntry } from "./history";
import { parseError, summarize, type SqlError } from "./result";

/** Longer statements are not kept in the URL. */
const MAX_LENGTH_IN_URL = 4000;
const DEFAULT_DATABASE = "defaultdb";

/** The statement and the database of the URL. A statement runs only when the user asks for it. */
export function useStatement() {
  const search = useSearch({ strict: false }) as { q?: string; db?: string };
  const navigate = useNavigate();
  const [statement, setStatement] = useState(search.q ?? "");
  const [database, setDatabase] = useState(search.db ?? DEFAULT_DATABASE);
  const write = (q: string, db: string) =>
    void navigate({
      to: ".",
      search: {
        q: q.length > 0 && q.length <= MAX_LENGTH_IN_URL ? q : undefined,
        db: db === DEFAULT_DATABASE ? undefined : db,
      },
      replace: true,
      resetScroll: false,
    });
  const writeLater = useDebouncedCallback(write, { delay: 400, flushOnUnmount: false });
  const change = (next: { statement?: string; database?: string }) => {
    const merged = { statement, database, ...next };
    setStatement(merged.statement);
    setDatabase(merged.database);
    writeLater(merged.statement, merged.database);
  };
  return { statement, database, change };
}

/** The outcome of the last statement: a result, or an error. */
export interface Outcome {
  request: SqlRequest;
  result: SqlResult | null;
  error: SqlError | null;
  cause: unknown;
}

/** Runs statements, one at a time, and adds them to the history. */
export function useRunner(cluster: string, addToHistory: (entry: HistoryEntry) => void) {
  const client = useQueryClient();
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const controller = useRef<AbortController>(null);
  const record = ({ statement, database }: SqlRequest, text: string, failed: boolean) =>
    addToHistory({ statement, database, at: Date.now(), outcome: text, failed });
  const run = useMutation({
    mutationFn: (request: SqlRequest) => {
      controller.current = new AbortController();
      return sql(cluster, request, controller.current.signal);
    },
    onSuccess: (result, request) => {
      setOutcome({ request, result, error: null, cause: null });
      record(request, summarize(result), false);
      if (request.write) {
        void client.invalidateQueries({ queryKey: keys.databases(cluster) });
        void client.invalidateQueries({ queryKey: keys.sqlUsers(cluster) });
      }
    },
    onError: (cause, request) => {
      if (cause.name === "AbortError") return;
      const error = parseError(errorMessage(cause), request.statement);
      setOutcome({ request, result: null, error, cause });
      record(request, error.state === null ? "Failed" : `Failed: ${error.state}`, true);
    },
  });
  return {
    outcome,
    running: run.isPending,
    run: (request: SqlRequest) => {
      if (!run.isPending && request.statement.trim() !== "") run.mutate(request);
    },
    cancel: () => controller.current?.abort(),
  };
}
