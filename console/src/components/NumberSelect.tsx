import { Select } from "@mantine/core";

interface Props {
  label: string;
  description?: string;
  values: number[];
  format: (value: number) => string;
  value: number;
  disabled?: boolean;
  onChange: (value: number) => void;
}

/** A choice among numbers, which are shown in words. */
export function NumberSelect({ label, description, values, format, value, disabled, onChange }: Props) {
  return (
    <Select
      label={label}
      description={description}
      data={values.map((value) => ({ value: String(value), label: format(value) }))}
      value={String(value)}
      onChange={(text) => text && onChange(Number(text))}
      allowDeselect={false}
      disabled={disabled}
    />
  );
}
