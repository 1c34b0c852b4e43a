import "uplot/dist/uPlot.min.css";
import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useEffectEvent, useMemo, useRef } from "react";
import uPlot from "uplot";
import { formatClockTime, formatDateTime, formatDay, formatNumber } from "../lib/format";
import type { ChartProps, Series } from "./Chart";
import classes from "./Chart.module.css";

/** The palette of Chart.module.css. */
const PALETTE = {
  light: ["#0b7a6b", "#3b5bdb", "#b45309", "#9c36b5", "#c92a2a", "#1971c2", "#5c7c00", "#7a5c4a"],
  dark: ["#4ec3aa", "#8ea6ff", "#f0a44b", "#d69aea", "#ff8f8f", "#74c0fc", "#b4d455", "#cdb09c"],
};
const INK = {
  light: { text: "#5b6865", grid: "#e9eeec" },
  dark: { text: "#93a19d", grid: "#232b29" },
};
const POWERS = Array.from({ length: 50 }, (_, power) => 2 ** power);
const FONT = "11px system-ui, sans-serif";

/** A tooltip at the cursor with the values at its time. */
function tooltip(format: (value: number) => string, colors: string[]): uPlot.Plugin {
  const box = document.createElement("div");
  box.className = classes.tooltip ?? "";
  return {
    hooks: {
      init: (plot) => void plot.over.append(box),
      setCursor: (plot) => {
        const { idx, left = -1 } = plot.cursor;
        if (idx == null || left < 0) {
          box.style.display = "none";
          return;
        }
        const lines = [document.createElement("div")];
        lines[0]!.textContent = formatDateTime((plot.data[0][idx] ?? 0) * 1000);
        plot.series.slice(1).forEach((series, index) => {
          const value = plot.data[index + 1]?.[idx];
          const line = document.createElement("div");
          line.style.color = colors[index] ?? "inherit";
          line.textContent = `${String(series.label)}: ${value == null ? "–" : format(value)}`;
          lines.push(line);
        });
        box.replaceChildren(...lines);
        box.style.display = "block";
        const width = plot.over.clientWidth;
        const x = left > width / 2 ? left - box.offsetWidth - 12 : left + 12;
        box.style.transform = `translate(${Math.max(0, x)}px, 0)`;
      },
    },
  };
}

/** What the chart is made of besides its data. The chart is created again when it changes. */
function shapeOf(series: Series[]): string {
  return series.map(({ label, color, area, dashed }) => [label, color, area, dashed].join()).join(";");
}

export default function ChartCanvas(props: ChartProps & { height: number }) {
  const { times, series, format = formatNumber, height, group, binary } = props;
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const scheme = useComputedColorScheme("light");
  const shape = shapeOf(series);
  const data = useMemo(() => [times, ...series.map(({ values }) => values)] as uPlot.AlignedData, [times, series]);

  const create = useEffectEvent((element: HTMLDivElement) => {
    const palette = PALETTE[scheme];
    const ink = INK[scheme];
    const colors = series.map(({ color, dashed }, index) =>
      dashed ? ink.text : (palette[(color ?? index) % palette.length] as string),
    );
    const axis = { stroke: ink.text, font: FONT, grid: { stroke: ink.grid, width: 1 }, ticks: { show: false } };
    const options: uPlot.Options = {
      width: element.clientWidth || 300,
      height,
      legend: { show: false },
      padding: [8, 4, 0, 0],
      cursor: {
        y: false,
        drag: { x: false, y: false },
        points: { size: 6 },
        ...(group ? { sync: { key: group } } : {}),
      },
      scales: {
        y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] },
      },
      axes: [
        { ...axis, size: 26, space: 64, values: (plot, splits) => splits.map((split) => axisLabel(split, plot)) },
        {
          ...axis,
          size: 62,
          space: 30,
          values: (_, splits) => splits.map(format),
          ...(binary ? { incrs: POWERS } : {}),
        },
      ],
      series: [
        {},
        ...series.map(({ label, area, dashed }, index) => ({
          label,
          stroke: colors[index],
          width: dashed ? 1.25 : 1.75,
          spanGaps: false,
          points: { show: false },
          ...(dashed ? { dash: [5, 4] } : {}),
          ...(area && !dashed ? { fill: `${colors[index]}22` } : {}),
        })),
      ],
      plugins: [tooltip(format, colors)],
    };
    return new uPlot(options, data, element);
  });

  useEffect(() => {
    const element = holder.current;
    if (!element) return;
    const created = create(element);
    plot.current = created;
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0) created.setSize({ width: element.clientWidth, height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      created.destroy();
      plot.current = null;
    };
  }, [scheme, shape, height, group, binary]);

  useEffect(() => {
    plot.current?.setData(data);
  }, [data]);

  return <div ref={holder} />;
}

/** A label of the time axis: the time, or the date if the range is long. */
function axisLabel(seconds: number, plot: uPlot): string {
  const times = plot.data[0];
  const time = new Date(seconds * 1000);
  const span = (times.at(-1) ?? 0) - (times[0] ?? 0);
  return span > 2 * 86_400 ? formatDay(time) : formatClockTime(time);
}
