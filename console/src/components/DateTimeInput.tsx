import { TextInput } from "@mantine/core";
import { toLocalInput } from "../lib/format";

interface Props {
  label: string;
  description?: string;
  error?: string | null;
  /** Whether the time has seconds. */
  seconds?: boolean;
  /** A time in UTC, as the API represents it. */
  value?: string;
  onChange: (value: string | undefined) => void;
}

/** A date and time in the time zone of the browser. */
export function DateTimeInput({ label, description, error, seconds = false, value, onChange }: Props) {
  return (
    <TextInput
      label={label}
      description={description}
      error={error}
      type="datetime-local"
      step={seconds ? 1 : undefined}
      value={toLocalInput(value, seconds)}
      onChange={(event) => {
        const time = Date.parse(event.currentTarget.value);
        onChange(Number.isNaN(time) ? undefined : new Date(time).toISOString());
      }}
    />
  );
}
