/** A line chart. The library that draws it is loaded with the first chart. */
import { Skeleton, Text } from "@mantine/core";
import { Suspense, lazy } from "react";
import { formatNumber } from "../lib/format";
import classes from "./Chart.module.css";

export interface Series {
  label: string;
  values: (number | null)[];
  /** The index of the color in the palette; by default the index of the series. */
  color?: number;
  /** Fills the area below the line. */
  area?: boolean;
  /** Draws a dashed line, for limits. */
  dashed?: boolean;
}

export interface ChartProps {
  title: string;
  /** Unix seconds, ascending. */
  times: number[];
  series: Series[];
  /** Formats a value, for example with its unit. */
  format?: (value: number) => string;
  /** Places the ticks of the axis at powers of two, for bytes. */
  binary?: boolean;
  height?: number;
  /** Charts of the same group share the cursor. */
  group?: string;
  loading?: boolean;
}

const Canvas = lazy(() => import("./ChartCanvas"));

/** The last value that isn't null. */
function lastValue(values: (number | null)[]): number | null {
  for (let index = values.length - 1; index >= 0; index -= 1) {
    const value = values[index];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

/** A description of the chart for screen readers. */
export function describe({ title, times, series, format = formatNumber }: ChartProps): string {
  if (times.length === 0) return `${title}: no data`;
  const parts = series.map(({ label, values }) => {
    const known = values.filter((value): value is number => value !== null);
    if (known.length === 0) return `${label} has no data`;
    const last = lastValue(values) ?? 0;
    return `${label} currently ${format(last)}, min ${format(Math.min(...known))}, max ${format(Math.max(...known))}`;
  });
  return `${title}: ${parts.join("; ")}`;
}

export function Chart(props: ChartProps) {
  const { title, times, series, format = formatNumber, height = 150, loading } = props;
  const empty = series.every(({ values }) => values.every((value) => value === null));
  return (
    <figure className={`panel ${classes.chart}`}>
      <figcaption className={classes.caption}>
        <span className={classes.title}>{title}</span>
        <span className={classes.legend}>
          {series.map(({ label, values, color, dashed }, index) => {
            const value = lastValue(values);
            return (
              <span key={label} className={classes.key}>
                <span
                  className={classes.swatch}
                  data-dashed={dashed || undefined}
                  data-color={color ?? index}
                  aria-hidden
                />
                {series.length > 1 && <span>{label}</span>}
                {value !== null && <strong className="tabular">{format(value)}</strong>}
              </span>
            );
          })}
        </span>
      </figcaption>
      <div style={{ height }} className={classes.plot}>
        {loading && times.length === 0 ? (
          <Skeleton height={height - 8} />
        ) : empty ? (
          <Text size="sm" c="dimmed" className={classes.empty}>
            No data in this time range
          </Text>
        ) : (
          <div role="img" aria-label={describe(props)}>
            <Suspense fallback={<Skeleton height={height - 8} />}>
              <Canvas {...props} format={format} height={height} />
            </Suspense>
          </div>
        )}
      </div>
    </figure>
  );
}
