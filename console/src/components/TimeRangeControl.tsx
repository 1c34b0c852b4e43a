import { SegmentedControl } from "@mantine/core";
import { CHART_RANGES } from "../lib/time-ranges";
import classes from "./TimeRangeControl.module.css";

interface Props {
  value: string;
  onChange: (value: string) => void;
  ranges?: { value: string; label: string }[];
}

/** Chooses the time range of charts. On a narrow screen it scrolls sideways. */
export function TimeRangeControl({ value, onChange, ranges = CHART_RANGES }: Props) {
  return (
    <div className={classes.scroll}>
      <SegmentedControl
        size="xs"
        aria-label="Time range"
        value={value}
        onChange={onChange}
        data={ranges.map(({ value, label }) => ({ value, label }))}
      />
    </div>
  );
}
