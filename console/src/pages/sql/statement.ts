/** The statement that is being written, kept in the page's address so that it can be shared and reloaded. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useDebouncedCallback } from "@mantine/hooks";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { describe } from "../../api/client";
import { sql, type SqlRequest, type SqlResult } from "../../api/extensions";
import { keys } from "../../api/queries";
import { problem, summary, type SqlProblem } from "./result";
import type { Past } from "./history";

/** An address may not grow without end; a longer statement is only kept in the page. */
const LONGEST_IN_ADDRESS = 4000;

/** The statement and database of the address. Nothing runs by itself: whoever follows a link presses Run. */
export function useStatement() {
  const search = useSearch({ strict: false }) as { q?: string; db?: string };
  const navigate = useNavigate();
  const [statement, setStatement] = useState(search.q ?? "");
  const [database, setDatabase] = useState(search.db ?? "defaultdb");
  const write = (q: string, db: string) =>
    void navigate({
      to: ".",
      search: {
        q: q.length > 0 && q.length <= LONGEST_IN_ADDRESS ? q : undefined,
        db: db === "defaultdb" ? undefined : db,
      },
      replace: true,
      resetScroll: false,
    });
  const later = useDebouncedCallback(write, { delay: 400, flushOnUnmount: false });
  /** Puts in a statement, a database or both. */
  const change = (next: { statement?: string; database?: string }) => {
    const to = { statement, database, ...next };
    setStatement(to.statement);
    setDatabase(to.database);
    later(to.statement, to.database);
  };
  return { statement, database, change };
}

/** What came of the last statement. */
export interface Outcome {
  wish: SqlRequest;
  result: SqlResult | null;
  problem: SqlProblem | null;
  error: unknown;
}

/** Runs statements, one at a time, and remembers them. */
export function useRunner(cluster: string, remember: (past: Past) => void) {
  const client = useQueryClient();
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const stop = useRef<AbortController>(null);
  const run = useMutation({
    mutationFn: (wish: SqlRequest) => {
      stop.current = new AbortController();
      return sql(cluster, wish, stop.current.signal);
    },
    onSuccess: (result, wish) => {
      setOutcome({ wish, result, problem: null, error: null });
      past(wish, summary(result), false);
      if (wish.write) {
        void client.invalidateQueries({ queryKey: keys.databases(cluster) });
        void client.invalidateQueries({ queryKey: keys.sqlUsers(cluster) });
      }
    },
    onError: (error, wish) => {
      if (error.name === "AbortError") return;
      const found = problem(describe(error), wish.statement);
      setOutcome({ wish, result: null, problem: found, error });
      past(wish, found.state === null ? "failed" : `failed: ${found.state}`, true);
    },
  });
  const past = ({ statement, database }: SqlRequest, text: string, failed: boolean) =>
    remember({ statement, database, at: Date.now(), outcome: text, failed });
  return {
    outcome,
    running: run.isPending,
    run: (wish: SqlRequest) => {
      if (!run.isPending && wish.statement.trim() !== "") run.mutate(wish);
    },
    stop: () => stop.current?.abort(),
  };
}
