/**
 * The table of all lists: sorted by TanStack Table, and virtualized by TanStack Virtual so that it can hold thousands
 * of rows. On a narrow screen each row becomes a card. A row with a page opens on Enter or on a click.
 */
import { Skeleton, UnstyledButton } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { IconArrowDown, IconArrowUp, IconArrowsSort } from "@tabler/icons-react";
import {
  flexRender,
  getCoreRowModel,
  getSortedRowModel,
  useReactTable,
  type ColumnDef,
  type Header,
  type Row,
  type RowData,
  type SortingState,
} from "@tanstack/react-table";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import {
  memo,
  useCallback,
  useEffect,
  useEffectEvent,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
  type KeyboardEvent,
  type ReactNode,
} from "react";
import classes from "./DataTable.module.css";

declare module "@tanstack/react-table" {
  // The type parameters must match the interface that this one extends.
  // eslint-disable-next-line @typescript-eslint/no-unused-vars
  interface ColumnMeta<TData extends RowData, TValue> {
    /** A width for `grid-template-columns`, for example `120px` or `minmax(0, 2fr)`. */
    width?: string;
    align?: "left" | "right";
    /** Hides the label on a card, for example of a name. */
    bare?: boolean;
    /** Moves the cell to the upper right corner of a card, for example for buttons. */
    corner?: boolean;
    /** Hides the column if the table is narrower than this, in pixels. */
    from?: number;
  }
}

interface Props<T> {
  /** Describes the table for screen readers. */
  label: string;
  columns: ColumnDef<T, any>[];
  data: T[];
  /** A stable key of a row. */
  rowId: (row: T) => string;
  initialSort?: SortingState;
  /** Shown if there are no rows. */
  empty?: ReactNode;
  loading?: boolean;
  onOpen?: (row: T) => void;
  /** Called with the visible rows, to load data only for them. */
  onVisible?: (rows: T[]) => void;
}

const ROW = 46;
/** A table narrower than this is a list of cards, in pixels. */
const CARD_WIDTH = 600;

export function DataTable<T>(props: Props<T>) {
  const { label, columns, data, rowId, initialSort = [], empty, loading, onOpen, onVisible } = props;
  const [sorting, setSorting] = useState<SortingState>(initialSort);
  const { ref, width } = useElementSize();
  const narrow = width > 0 && width < CARD_WIDTH;
  const columnVisibility = useMemo(() => {
    const small = columns.filter(({ meta }) => (meta?.from ?? 0) > (width || Infinity));
    return Object.fromEntries(small.map((column) => [column.id ?? "", false]));
  }, [columns, width]);
  const table = useReactTable({
    data,
    columns,
    state: { sorting, columnVisibility },
    onSortingChange: setSorting,
    getRowId: rowId,
    getCoreRowModel: getCoreRowModel(),
    getSortedRowModel: getSortedRowModel(),
  });
  const rows = table.getRowModel().rows;
  const isEmpty = rows.length === 0;
  const body = useRef<HTMLDivElement>(null);
  const latestOpen = useRef(onOpen);
  useLayoutEffect(() => {
    latestOpen.current = onOpen;
  });
  const open = useCallback((row: unknown) => latestOpen.current?.(row as T), []);
  const [offset, setOffset] = useState(0);
  useLayoutEffect(() => {
    const top = body.current?.getBoundingClientRect().top;
    if (top !== undefined) setOffset(top + window.scrollY);
  }, [narrow, isEmpty]);
  const virtualizer = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => (narrow ? 132 : ROW),
    overscan: 12,
    scrollMargin: offset,
    getItemKey: (index) => rows[index]?.id ?? index,
  });
  const items = virtualizer.getVirtualItems();
  useVisible(items, rows, onVisible);
  const template = table
    .getVisibleLeafColumns()
    .map((column) => column.columnDef.meta?.width ?? "minmax(0, 1fr)")
    .join(" ");
  return (
    <div
      ref={ref}
      role="table"
      aria-label={label}
      aria-rowcount={rows.length + 1}
      className={`panel ${classes.table}`}
      data-narrow={narrow || undefined}
      style={{ "--columns": template } as React.CSSProperties}
    >
      {!narrow && !(isEmpty && !loading && empty) && (
        <div role="row" className={classes.head} aria-rowindex={1}>
          {table.getFlatHeaders().map((header) => (
            <HeadCell key={header.id} header={header} />
          ))}
        </div>
      )}
      {isEmpty && loading && (
        <div className={classes.loading} role="row">
          <div role="cell" aria-label="Loading">
            {[0, 1, 2, 3].map((line) => (
              <Skeleton key={line} height={16} my={14} />
            ))}
          </div>
        </div>
      )}
      {isEmpty && !loading && empty && (
        <div role="row">
          <div role="cell">{empty}</div>
        </div>
      )}
      <div ref={body} role="rowgroup" className={classes.body} style={{ height: virtualizer.getTotalSize() }}>
        {items.map((item) => {
          const row = rows[item.index];
          if (!row) return null;
          return (
            <RowView
              key={item.key}
              row={row as Row<unknown>}
              index={item.index}
              top={item.start - offset}
              narrow={narrow}
              shape={columns}
              hidden={columnVisibility}
              measure={virtualizer.measureElement}
              onOpen={onOpen && open}
            />
          );
        })}
      </div>
    </div>
  );
}

interface RowProps {
  row: Row<unknown>;
  index: number;
  top: number;
  narrow: boolean;
  /** The columns and the hidden ones: the row renders again when they change. */
  shape: unknown;
  hidden: unknown;
  measure: (element: Element | null) => void;
  onOpen?: (row: unknown) => void;
}

/** Renders once while the table is scrolled. */
const RowView = memo(
  function RowView({ row, index, top, narrow, measure, onOpen }: RowProps) {
    return (
      <div
        ref={measure}
        data-index={index}
        role="row"
        aria-rowindex={index + 2}
        className={classes.row}
        data-opens={onOpen ? true : undefined}
        tabIndex={onOpen ? 0 : undefined}
        onClick={(event) => onOpen && isRowClick(event.target, event.currentTarget) && onOpen(row.original)}
        onKeyDown={(event) => onKey(event, row, onOpen)}
        style={{ transform: `translateY(${top}px)` }}
      >
        {row.getVisibleCells().map((cell) => {
          const { meta, header } = cell.column.columnDef;
          const label = narrow && !meta?.bare && !meta?.corner && typeof header === "string" ? header : undefined;
          return (
            <div
              key={cell.id}
              role="cell"
              className={classes.cell}
              data-align={meta?.align}
              data-corner={meta?.corner}
              data-label={label}
            >
              {flexRender(cell.column.columnDef.cell, cell.getContext())}
            </div>
          );
        })}
      </div>
    );
  },
  (before, after) =>
    before.row === after.row &&
    before.index === after.index &&
    before.top === after.top &&
    before.narrow === after.narrow &&
    before.shape === after.shape &&
    before.hidden === after.hidden &&
    before.onOpen === after.onOpen,
);

function HeadCell<T>({ header }: { header: Header<T, unknown> }) {
  const { column } = header;
  const sorted = column.getIsSorted();
  const content = header.isPlaceholder ? null : flexRender(column.columnDef.header, header.getContext());
  const Icon = sorted === "asc" ? IconArrowUp : sorted === "desc" ? IconArrowDown : IconArrowsSort;
  return (
    <div
      role="columnheader"
      className={classes.headCell}
      data-align={column.columnDef.meta?.align}
      aria-sort={sorted === "asc" ? "ascending" : sorted === "desc" ? "descending" : undefined}
    >
      {column.getCanSort() ? (
        <UnstyledButton
          className={classes.sort}
          onClick={column.getToggleSortingHandler()}
          data-sorted={sorted || undefined}
        >
          {content}
          <Icon size={13} aria-hidden />
        </UnstyledButton>
      ) : (
        content
      )}
    </div>
  );
}

/** Whether a click is for the row: not on a control, not in a portal, and not the end of a selection. */
function isRowClick(target: EventTarget, row: HTMLElement): boolean {
  if (!(target instanceof Element) || !row.contains(target)) return false;
  if (target.closest("a, button, input, label, textarea, [role=menu], [role=dialog]")) return false;
  return !window.getSelection()?.toString();
}

function onKey<T>(event: KeyboardEvent<HTMLDivElement>, row: Row<T>, onOpen?: (row: T) => void) {
  if (event.target !== event.currentTarget) return;
  if (event.key === "Enter" && onOpen) onOpen(row.original);
  const next =
    event.key === "ArrowDown" ? "nextElementSibling" : event.key === "ArrowUp" ? "previousElementSibling" : null;
  const sibling = next && event.currentTarget[next];
  if (sibling instanceof HTMLElement) {
    event.preventDefault();
    sibling.focus();
  }
}

/** Rows that are only scrolled past are not reported. */
const SETTLE_MS = 200;

function useVisible<T>(items: { index: number }[], rows: Row<T>[], onVisible?: (rows: T[]) => void) {
  const first = items[0]?.index ?? 0;
  const last = items.at(-1)?.index ?? -1;
  const span = `${first}-${last}-${rows[first]?.id ?? ""}-${rows[last]?.id ?? ""}`;
  const report = useEffectEvent(() => onVisible?.(rows.slice(first, last + 1).map((row) => row.original)));
  useEffect(() => {
    const timer = setTimeout(() => report(), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [span]);
}
