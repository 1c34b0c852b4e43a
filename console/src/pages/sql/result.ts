/** The answer of a statement, and what is made of it. Pure. */
import type { SqlResult } from "../../api/extensions";

/** What a refused statement says, taken apart. */
export interface SqlProblem {
  text: string;
  state: string | null;
  /** Offset in the statement at which the server stopped, from 0. */
  offset: number | null;
}

/** Takes `(SQLSTATE 42P01, position 15)` out of an error's text. A refusal that is not the database's has none. */
export function problem(message: string, statement: string): SqlProblem {
  const state = /SQLSTATE:?\s*([0-9A-Z]{5})\b/.exec(message)?.[1] ?? null;
  const position = /\b(?:at )?(?:position|character):?\s*(\d+)/i.exec(message)?.[1];
  return {
    text: message.replace(/ ?\(SQLSTATE [0-9A-Z]{5}(?:, position \d+)?\)/, ""),
    state,
    offset: position === undefined ? null : offset(statement, Number(position)),
  };
}

/** PostgreSQL counts characters from 1, JavaScript UTF-16 units from 0. */
function offset(statement: string, position: number): number | null {
  const characters = [...statement];
  if (position < 1 || position > characters.length + 1) return null;
  return characters.slice(0, position - 1).join("").length;
}

/** Line and column of an offset, both from 1. */
export function place(statement: string, offset: number): { line: number; column: number } {
  const lines = statement.slice(0, offset).split("\n");
  return { line: lines.length, column: (lines.at(-1) ?? "").length + 1 };
}

/** RFC 4180. NULL is nothing and an empty text is `""`, as PostgreSQL's COPY writes them. */
export function csv(result: Pick<SqlResult, "columns" | "rows">): string {
  const line = (cells: (string | null)[]) => `${cells.map(cell).join(",")}\r\n`;
  return line(result.columns.map((column) => column.name)) + result.rows.map(line).join("");
}

function cell(text: string | null): string {
  if (text === null) return "";
  return text === "" || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const NUMBERS = [
  "int2",
  "int4",
  "int8",
  "smallint",
  "integer",
  "bigint",
  "oid",
  "numeric",
  "float4",
  "float8",
  "real",
  "double precision",
  "money",
];

/** Whether a type is aligned to the right. */
export function numeric(type: string): boolean {
  return NUMBERS.includes(type.toLowerCase().replace(/\(.*\)$/, ""));
}

/** What happened, in one line. */
export function summary(result: SqlResult): string {
  const rows =
    result.columns.length === 0
      ? result.tag
      : `${result.row_count.toLocaleString("en-US")} ${result.row_count === 1 ? "row" : "rows"}`;
  return `${rows} in ${duration(result.elapsed_ms)}`;
}

export function duration(milliseconds: number): string {
  if (milliseconds < 1) return "< 1 ms";
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(2)} s`;
}
