/** All operations by tag, searched by words. Each is a link: its page can be shared. */
import { Badge, Stack, Text, TextInput, Title } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
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
      <TextInput
        aria-label="Search operations"
        placeholder="Search, for example “allowlist post”"
        leftSection={<IconSearch size={16} aria-hidden />}
        value={search}
        onChange={(event) => onSearch(event.currentTarget.value)}
        mb="sm"
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
            No operation matches. Search for a part of its name, path or method.
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
      data-later={operation.unimplemented || undefined}
      aria-current={chosen ? "page" : undefined}
    >
      <Method name={operation.method} />
      <span className={classes.summary}>{operation.summary}</span>
      {operation.unimplemented && (
        <Badge size="xs" variant="outline" color="gray" title="Not built yet: the server answers 501">
          later
        </Badge>
      )}
    </Link>
  );
}
