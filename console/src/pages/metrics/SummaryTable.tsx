/** The values of the charts as a table. */
import { Table, Title } from "@mantine/core";
import { formatCount } from "../../lib/format";
import type { Samples } from "../../api/extensions";
import { formatValue, summarize, type Graph } from "./graphs";
import classes from "./metrics.module.css";

export function SummaryTable({ graphs, samples }: { graphs: Graph[]; samples: Samples }) {
  const lines = graphs.flatMap((graph) => graph.lines.map((line) => ({ graph, line, ...summarize(line.values) })));
  const known = samples.times.filter((_, index) => lines.some(({ line }) => line.values[index] != null)).length;
  return (
    <section className={classes.summary}>
      <Title order={2} id="metrics-summary">
        Summary
      </Title>
      <div className={`panel ${classes.scroll}`} tabIndex={0} role="region" aria-labelledby="metrics-summary">
        <Table>
          <Table.Caption>
            {known} of {formatCount(samples.times.length, "interval")} of {formatStep(samples.step_seconds)} have data.
            The cluster was suspended or didn't exist in the others.
          </Table.Caption>
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">Series</Table.Th>
              {["Current", "Min", "Avg", "Max"].map((name) => (
                <Table.Th key={name} scope="col" ta="right">
                  {name}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {lines.map(({ graph, line, last, min, average, max }) => (
              <Table.Tr key={`${graph.id}/${line.name}`}>
                <Table.Th scope="row" fw={500}>
                  {graph.lines.length > 1 ? `${graph.title}: ${line.label}` : line.label}
                </Table.Th>
                {[last, min, average, max].map((value, index) => (
                  <Table.Td key={index} ta="right" className="tabular">
                    {formatValue(value, graph.unit)}
                  </Table.Td>
                ))}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
    </section>
  );
}

function formatStep(seconds: number): string {
  if (seconds >= 3600) return `${seconds / 3600} h`;
  return seconds >= 60 ? `${seconds / 60} min` : `${seconds} s`;
}
