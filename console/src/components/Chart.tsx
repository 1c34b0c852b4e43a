/** A line chart; what draws it is loaded with the first chart. */
import { Skeleton, Text } from "@mantine/core";
import { Suspense, lazy } from "react";
import classes from "./Chart.module.css";

export interface Series {
  label: string;
  values: (number | null)[];
  /** A number of the palette; its place in the list otherwise. */
  color?: number;
  /** Filled to the ground. */
  area?: boolean;
  /** A limit: dashed, never filled. */
  dashed?: boolean;
}

export interface ChartProps {
  title: string;
  /** Unix seconds, ascending. */
  times: number[];
  series: Series[];
  /** How a value is written, for example with its unit. */
  format?: (value: number) => string;
  /** Steps of the axis are powers of two, as for bytes. */
  binary?: boolean;
  height?: number;
  /** Charts of one group show the same moment. */
  group?: string;
  loading?: boolean;
  /** Said where there is nothing to draw. */
  empty?: string;
}

const Canvas = lazy(() => import("./ChartCanvas"));

const plain = (value: number) => value.toLocaleString("en", { maximumFractionDigits: 2 });

/** The newest value that is there. */
function newest(values: (number | null)[]): number | null {
  for (let index = values.length - 1; index >= 0; index -= 1) {
    const value = values[index];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

/** What a chart shows, for who can not see it. */
export function summary({ title, times, series, format = plain }: ChartProps): string {
  if (times.length === 0) return `${title}: no data`;
  const parts = series.map(({ label, values }) => {
    const known = values.filter((value): value is number => value !== null);
    if (known.length === 0) return `${label} has no data`;
    const last = newest(values) ?? 0;
    return `${label} now ${format(last)}, between ${format(Math.min(...known))} and ${format(Math.max(...known))}`;
  });
  return `${title}: ${parts.join("; ")}`;
}

export function Chart(props: ChartProps) {
  const { title, times, series, format = plain, height = 150, loading, empty = "No data in this time" } = props;
  const nothing = series.every(({ values }) => values.every((value) => value === null));
  return (
    <figure className={`panel ${classes.chart}`}>
      <figcaption className={classes.caption}>
        <span className={classes.title}>{title}</span>
        <span className={classes.legend}>
          {series.map(({ label, values, color, dashed }, index) => {
            const value = newest(values);
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
        ) : nothing ? (
          <Text size="sm" c="dimmed" className={classes.empty}>
            {empty}
          </Text>
        ) : (
          <div role="img" aria-label={summary(props)}>
            <Suspense fallback={<Skeleton height={height - 8} />}>
              <Canvas {...props} format={format} height={height} />
            </Suspense>
          </div>
        )}
      </div>
    </figure>
  );
}
