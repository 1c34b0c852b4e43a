/** What narrows the list. Every choice goes into the URL. */
import { Button, NativeSelect, Select, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useEffect, useState } from "react";
import { ACTIONS } from "./actions";
import classes from "./audit.module.css";
import { actionLabel, bareAction, rangeOf, RANGES, type AuditSearch, type Entry } from "./filters";

interface Props {
  search: AuditSearch;
  /** Entries that are there, for actions that are not in our list. */
  entries: Entry[];
  onChange: (change: Partial<AuditSearch>) => void;
}

const OUTCOMES = [
  { value: "", label: "All" },
  { value: "done", label: "Done" },
  { value: "failed", label: "Refused or failed" },
];

export function Filters({ search, entries, onChange }: Props) {
  const range = rangeOf(search);
  const actions = [...new Set([...ACTIONS, ...entries.map((entry) => bareAction(entry.action))])].sort();
  const narrowed = search.action || search.actor || search.cluster || search.outcome || range !== "48h";
  const choose = (value: string) => {
    const dayAgo = new Date(Date.now() - 86_400_000).toISOString();
    if (value === "custom") onChange({ range: undefined, startingFrom: dayAgo, endingAt: new Date().toISOString() });
    else onChange({ range: value === "48h" ? undefined : value, startingFrom: undefined, endingAt: undefined });
  };
  return (
    <div className={classes.filters} role="search" aria-label="Filter the audit log">
      <NativeSelect
        label="Time"
        data={RANGES.map(({ value, label }) => ({ value, label }))}
        value={range}
        onChange={(event) => choose(event.currentTarget.value)}
      />
      {range === "custom" && (
        <>
          <Moment label="From" value={search.startingFrom} onChange={(startingFrom) => onChange({ startingFrom })} />
          <Moment label="To" value={search.endingAt} onChange={(endingAt) => onChange({ endingAt })} />
        </>
      )}
      <Select
        label="Action"
        placeholder="Any"
        data={actions.map((action) => ({ value: action, label: actionLabel(action) }))}
        value={search.action ?? null}
        onChange={(action) => onChange({ action: action ?? undefined })}
        searchable
        clearable
        limit={60}
        nothingFoundMessage="No such action"
        clearButtonProps={{ "aria-label": "Any action" }}
      />
      <Words
        label="Who"
        placeholder="E-mail or service account"
        value={search.actor}
        onChange={(actor) => onChange({ actor })}
      />
      <Words
        label="Cluster"
        placeholder="Name or id"
        value={search.cluster}
        onChange={(cluster) => onChange({ cluster })}
      />
      <NativeSelect
        label="Outcome"
        data={OUTCOMES}
        value={search.outcome ?? ""}
        onChange={(event) => onChange({ outcome: event.currentTarget.value || undefined })}
      />
      {narrowed && (
        <Button
          variant="subtle"
          color="gray"
          className={classes.clear}
          onClick={() =>
            onChange({
              range: undefined,
              startingFrom: undefined,
              endingAt: undefined,
              action: undefined,
              actor: undefined,
              cluster: undefined,
              outcome: undefined,
            })
          }
        >
          Clear
        </Button>
      )}
    </div>
  );
}

interface FieldProps {
  label: string;
  placeholder?: string;
  value?: string;
  onChange: (value: string | undefined) => void;
}

/** Text that is taken when typing pauses. */
function Words({ label, placeholder, value = "", onChange }: FieldProps) {
  const [text, setText] = useState(value);
  const take = useDebouncedCallback((text: string) => onChange(text.trim() || undefined), 350);
  useEffect(() => setText((before) => (before.trim() === value ? before : value)), [value]);
  return (
    <TextInput
      label={label}
      placeholder={placeholder}
      value={text}
      autoComplete="off"
      onChange={(event) => {
        setText(event.currentTarget.value);
        take(event.currentTarget.value);
      }}
    />
  );
}

/** A moment in the reader's own time zone; the URL holds it in UTC. */
function Moment({ label, value, onChange }: FieldProps) {
  return (
    <TextInput
      label={label}
      type="datetime-local"
      value={localText(value)}
      onChange={(event) => {
        const time = Date.parse(event.currentTarget.value);
        onChange(Number.isNaN(time) ? undefined : new Date(time).toISOString());
      }}
    />
  );
}

function localText(value: string | undefined): string {
  const time = value ? new Date(value) : undefined;
  if (!time || Number.isNaN(time.getTime())) return "";
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
