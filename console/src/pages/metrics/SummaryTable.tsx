/** The charts in numbers: for who can not see them, and for exact values. */
import { Table, Title } from "@mantine/core";
import type { Samples } from "../../api/extensions";
import { formatted, summary, type Graph } from "./graphs";
import classes from "./metrics.module.css";

export function SummaryTable({ graphs, samples }: { graphs: Graph[]; samples: Samples }) {
  const lines = graphs.flatMap((graph) => graph.lines.map((line) => ({ graph, line, ...summary(line.values) })));
  const known = samples.times.filter((_, index) => lines.some(({ line }) => line.values[index] != null)).length;
  return (
    <section className={classes.summary}>
      <Title order={2} id="metrics-summary">
        In numbers
      </Title>
      <div className={`panel ${classes.scroll}`} tabIndex={0} role="region" aria-labelledby="metrics-summary">
        <Table>
          <Table.Caption>
            {known} of {samples.times.length} moments have samples, {step(samples.step_seconds)} apart; the others are
            gaps: the cluster slept or did not exist.
          </Table.Caption>
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">Series</Table.Th>
              {["Now", "Least", "Mean", "Most"].map((name) => (
                <Table.Th key={name} scope="col" ta="right">
                  {name}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {lines.map(({ graph, line, last, least, mean, most }) => (
              <Table.Tr key={`${graph.id}/${line.name}`}>
                <Table.Th scope="row" fw={500}>
                  {graph.lines.length > 1 ? `${graph.title}: ${line.label}` : line.label}
                </Table.Th>
                {[last, least, mean, most].map((value, index) => (
                  <Table.Td key={index} ta="right" className="tabular">
                    {formatted(value, graph.unit)}
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

function step(seconds: number): string {
  if (seconds >= 3600) return `${seconds / 3600} h`;
  return seconds >= 60 ? `${seconds / 60} min` : `${seconds} s`;
}
