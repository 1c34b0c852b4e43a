/** Interprets results and errors of statements, as pure functions. */
import type { SqlResult } from "../../api/extensions";
import { formatCount, formatDuration } from "../../lib/format";

/** A parsed error message. */
export interface SqlError {
  text: string;
  state: string | null;
  /** The offset of the error in the statement, from 0. */
  offset: number | null;
}

/** Parses `(SQLSTATE 42P01, position 15)`. Errors that don't come from the database have no such part. */
export function parseError(message: string, statement: string): SqlError {
  const state = /SQLSTATE:?\s*([0-9A-Z]{5})\b/.exec(message)?.[1] ?? null;
  const position = /\b(?:at )?(?:position|character):?\s*(\d+)/i.exec(message)?.[1];
  return {
    text: message.replace(/ ?\(SQLSTATE [0-9A-Z]{5}(?:, position \d+)?\)/, ""),
    state,
    offset: position === undefined ? null : offset(statement, Number(position)),
  };
}

/** Converts a position: PostgreSQL counts characters from 1, JavaScript counts UTF-16 units from 0. */
function offset(statement: string, position: number): number | null {
  const characters = [...statement];
  if (position < 1 || position > characters.length + 1) return null;
  return characters.slice(0, position - 1).join("").length;
}

/** The line and column of an offset, both from 1. */
export function lineAndColumn(statement: string, offset: number): { line: number; column: number } {
  const lines = statement.slice(0, offset).split("\n");
  return { line: lines.length, column: (lines.at(-1) ?? "").length + 1 };
}

/** CSV as in RFC 4180. NULL is empty and an empty string is `""`, as in PostgreSQL's COPY. */
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

/** Whether the values of a type are numbers, which are aligned to the right. */
export function isNumeric(type: string): boolean {
  return NUMBERS.includes(type.toLowerCase().replace(/\(.*\)$/, ""));
}

/** One line about the result. */
export function summarize(result: SqlResult): string {
  const rows = result.columns.length === 0 ? result.tag : formatCount(result.row_count, "row");
  return `${rows} in ${formatDuration(result.elapsed_ms)}`;
}
