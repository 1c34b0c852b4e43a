import { SegmentedControl } from "@mantine/core";

export interface Range {
  value: string;
  label: string;
  seconds: number;
}

/** The ranges that a chart offers; the server keeps 90 days. */
export const RANGES: Range[] = [
  { value: "30m", label: "30 min", seconds: 1_800 },
  { value: "2h", label: "2 h", seconds: 7_200 },
  { value: "24h", label: "24 h", seconds: 86_400 },
  { value: "7d", label: "7 d", seconds: 604_800 },
  { value: "30d", label: "30 d", seconds: 2_592_000 },
  { value: "90d", label: "90 d", seconds: 7_776_000 },
];

/** The range of this name, or the first of `ranges`. */
export function rangeOf(value: string | undefined, ranges: Range[] = RANGES): Range {
  return ranges.find((range) => range.value === value) ?? (ranges[0] as Range);
}

interface Props {
  value: string;
  onChange: (value: string) => void;
  ranges?: Range[];
}

/** How far back charts go. */
export function TimeRange({ value, onChange, ranges = RANGES }: Props) {
  return (
    <SegmentedControl
      size="xs"
      aria-label="Time range"
      value={value}
      onChange={onChange}
      data={ranges.map(({ value, label }) => ({ value, label }))}
    />
  );
}
