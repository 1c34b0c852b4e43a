/** The rows of a result. Only the visible rows are rendered. */
import { createColumnHelper, flexRender, getCoreRowModel, useReactTable } from "@tanstack/react-table";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef } from "react";
import type { SqlResult } from "../../api/extensions";
import { isNumeric } from "./result";
import classes from "./Sql.module.css";

type Row = (string | null)[];

const ROW = 32;
const column = createColumnHelper<Row>();

/** The width of a column in characters, from its header and its first rows. */
function width(result: SqlResult, index: number): number {
  const head = (result.columns[index]?.name.length ?? 0) + (result.columns[index]?.type.length ?? 0) + 2;
  const longest = result.rows.slice(0, 200).reduce((most, row) => Math.max(most, row[index]?.length ?? 4), head);
  return Math.min(Math.max(longest, 6), 48) + 4;
}

export function ResultTable({ result }: { result: SqlResult }) {
  const scroll = useRef<HTMLDivElement>(null);
  const columns = useMemo(
    () =>
      result.columns.map(({ name, type }, index) =>
        column.accessor((row) => row[index] ?? null, {
          id: String(index),
          header: () => (
            <>
              {name} <span className={classes.type}>{type}</span>
            </>
          ),
          cell: (cell) => <Value text={cell.getValue()} />,
        }),
      ),
    [result],
  );
  const widths = useMemo(() => result.columns.map((_, index) => width(result, index)), [result]);
  const table = useReactTable({ data: result.rows, columns, getCoreRowModel: getCoreRowModel() });
  const rows = table.getRowModel().rows;
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW,
    overscan: 20,
  });
  const items = virtual.getVirtualItems();
  const before = items[0]?.start ?? 0;
  const after = virtual.getTotalSize() - (items.at(-1)?.end ?? 0);
  const right = result.columns.map(({ type }) => isNumeric(type));
  return (
    <div className={`panel ${classes.scroll}`} ref={scroll} tabIndex={0} role="region" aria-label="Rows">
      <table className={classes.table} aria-label="Result" aria-rowcount={rows.length + 1} style={{ minWidth: "100%" }}>
        <colgroup>
          {widths.map((characters, index) => (
            <col key={index} style={{ width: `${characters}ch` }} />
          ))}
          <col />
        </colgroup>
        <thead>
          <tr aria-rowindex={1}>
            {table.getFlatHeaders().map((header, index) => (
              <th key={header.id} scope="col" data-right={right[index] || undefined}>
                {flexRender(header.column.columnDef.header, header.getContext())}
              </th>
            ))}
            <td aria-hidden />
          </tr>
        </thead>
        <tbody>
          {before > 0 && <tr aria-hidden style={{ height: before }} />}
          {items.map(({ index, key }) => (
            <tr key={key} aria-rowindex={index + 2}>
              {rows[index]?.getVisibleCells().map((cell, index) => (
                <td key={cell.id} data-right={right[index] || undefined}>
                  {flexRender(cell.column.columnDef.cell, cell.getContext())}
                </td>
              ))}
              <td aria-hidden />
            </tr>
          ))}
          {after > 0 && <tr aria-hidden style={{ height: after }} />}
        </tbody>
      </table>
      {rows.length === 0 && <p className={classes.norows}>No rows</p>}
    </div>
  );
}

function Value({ text }: { text: string | null }) {
  if (text === null) return <span className={classes.null}>NULL</span>;
  return (
    <span className={classes.value} title={text.length > 44 ? text.slice(0, 2000) : undefined}>
      {text}
    </span>
  );
}
