import { Button, NativeSelect, Select, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useState } from "react";
import { AUDIT_ACTIONS } from "../../api/audit-actions.generated";
import { DateTimeInput } from "../../components/DateTimeInput";
import classes from "./audit.module.css";
import { DEFAULT_AUDIT_RANGE } from "../../lib/time-ranges";
import { actionLabel, bareAction, rangeOf, RANGE_OPTIONS, type AuditSearch } from "./filters";

const ACTIONS = AUDIT_ACTIONS.map((action) => ({ value: bareAction(action), label: actionLabel(action) })).sort(
  (one, other) => one.label.localeCompare(other.label),
);

interface Props {
  search: AuditSearch;

  onChange: (change: Partial<AuditSearch>) => void;
}

const OUTCOMES = [
  { value: "", label: "All" },
  { value: "done", label: "Succeeded" },
  { value: "failed", label: "Failed" },
];

/** The filters of the audit log. The URL holds their values. */
export function Filters({ search, onChange }: Props) {
  const range = rangeOf(search);

  const narrowed = search.action || search.actor || search.cluster || search.outcome || range !== DEFAULT_AUDIT_RANGE;
  const choose = (value: string) => {
    const dayAgo = new Date(Date.now() - 86_400_000).toISOString();
    if (value === "custom") onChange({ range: undefined, startingFrom: dayAgo, endingAt: new Date().toISOString() });
    else
      onChange({
        range: value === DEFAULT_AUDIT_RANGE ? undefined : value,
        startingFrom: undefined,
        endingAt: undefined,
      });
  };
  return (
    <div className={classes.filters} role="search" aria-label="Filter the audit log">
      <NativeSelect
        label="Time"
        data={RANGE_OPTIONS}
        value={range}
        onChange={(event) => choose(event.currentTarget.value)}
      />
      {range === "custom" && (
        <>
          <DateTimeInput
            label="From"
            value={search.startingFrom}
            onChange={(startingFrom) => onChange({ startingFrom })}
          />
          <DateTimeInput label="To" value={search.endingAt} onChange={(endingAt) => onChange({ endingAt })} />
        </>
      )}
      <Select
        label="Action"
        placeholder="Any"
        data={ACTIONS}
        value={search.action ?? null}
        onChange={(action) => onChange({ action: action ?? undefined })}
        searchable
        clearable

        nothingFoundMessage="No actions match"
        clearButtonProps={{ "aria-label": "Any action" }}
      />
      <TextFilter
        label="Actor"
        placeholder="Email or service account"
        value={search.actor}
        onChange={(actor) => onChange({ actor })}
      />
      <TextFilter
        label="Cluster"
        placeholder="Name or ID"
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
          Clear filters
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

/** A text filter that is applied when typing pauses. */
function TextFilter({ label, placeholder, value = "", onChange }: FieldProps) {
  const [text, setText] = useState(value);
  const apply = useDebouncedCallback((text: string) => onChange(text.trim() || undefined), 350);
  const [previous, setPrevious] = useState(value);
  // The URL changes without typing, for example when the filters are cleared.
  if (value !== previous) {
    setPrevious(value);
    if (text.trim() !== value) setText(value);
  }
  return (
    <TextInput
      label={label}
      placeholder={placeholder}
      value={text}
      autoComplete="off"
      onChange={(event) => {
        setText(event.currentTarget.value);
        apply(event.currentTarget.value);
      }}
    />
  );
}
