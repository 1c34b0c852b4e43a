/** The operations by tag, with a search. */
import { Badge, Stack, Text, Title } from "@mantine/core";

import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { SearchInput } from "../../components/SearchInput";
import { byTag, matching, type Operation } from "./document";
import { Method } from "./Method";
import classes from "./explorer.module.css";

interface Props {
  all: Operation[];
  chosen?: string;
  search: string;
  onSearch: (search: string) => void;
}

export function OperationList({ all, chosen, search, onSearch }: Props) {
  const groups = useMemo(() => byTag(matching(all, search)), [all, search]);
  return (
    <nav aria-label="Operations" className={classes.list}>
      <SearchInput
        label="Search operations"
        placeholder="Search by name, path, or method"
        value={search}
        onChange={onSearch}
      />
      <div className={classes.operations}>
        {groups.map(([tag, operations]) => (
          <Stack key={tag} gap={2} mb="md">
            <Title order={2} size="xs" c="dimmed" tt="uppercase" className={classes.tag}>
              {tag}
            </Title>
            {operations.map((operation) => (
              <Entry key={operation.id} operation={operation} chosen={operation.id === chosen} search={search} />
            ))}
          </Stack>
        ))}
        {groups.length === 0 && (
          <Text size="sm" c="dimmed" p="xs">
            No operations match. Search for a part of the name, path, or method.
          </Text>
        )}
      </div>
    </nav>
  );
}

function Entry({ operation, chosen, search }: { operation: Operation; chosen: boolean; search: string }) {
  return (
    <Link
      to="/explorer"
      search={{ operation: operation.id, q: search || undefined }}
      className={classes.entry}
      data-chosen={chosen || undefined}
      data-unimplemented={operation.unimplemented || undefined}
      aria-current={chosen ? "page" : undefined}
    >
      <Method name={operation.method} />
      <span className={classes.summary}>{operation.summary}</span>
      {operation.unimplemented && (
        <Badge size="xs" variant="outline" color="gray" tt="none" fw={500} title="The server responds with 501">
          Not implemented
        </Badge>
      )}
    </Link>
  );
}
