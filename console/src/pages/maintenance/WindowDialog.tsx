import { useState } from "react";
import { MAINTENANCE_WINDOW_HOURS } from "../../api/validation";
import { FormDialog } from "../../components/DialogForm";
import { NumberSelect } from "../../components/NumberSelect";
import { useSetMaintenanceWindow } from "./data";
import {
  DAY,
  DAY_NAMES,
  dayName,
  dayOf,
  durationText,
  renderWindow,
  timeText,
  withCurrent,
  type WeeklyWindow,
} from "./windows";

const DAYS = DAY_NAMES.map((_, day) => day);
/** Every half hour of a day, in seconds. */
const TIMES = Array.from({ length: 48 }, (_, index) => index * 1_800);
const DURATIONS = MAINTENANCE_WINDOW_HOURS.map((hours) => hours * 3_600);
/** Early on Sunday. */
const SUGGESTED: WeeklyWindow = { offset: 6 * DAY + 2 * 3_600, duration: 6 * 3_600 };

interface Props {
  cluster: string;
  current: WeeklyWindow | null;
  onClose: () => void;
}

/** Sets the maintenance window of a cluster. */
export function WindowDialog({ cluster, current, onClose }: Props) {
  const [{ offset, duration }, setWindow] = useState(current ?? SUGGESTED);
  const set = useSetMaintenanceWindow(cluster);
  const day = dayOf(offset);
  const time = offset % DAY;
  return (
    <FormDialog
      title={current ? "Edit maintenance window" : "Set maintenance window"}
      action="Save"
      disabled={offset === current?.offset && duration === current?.duration}
      pending={set.isPending}
      error={set.error}
      errorTitle="Couldn't set the maintenance window"
      onSubmit={() => set.mutate(renderWindow({ offset, duration }), { onSuccess: onClose })}
      onClose={onClose}
    >
      <NumberSelect
        label="Day"
        values={DAYS}
        format={dayName}
        value={day}
        onChange={(day) => setWindow({ offset: day * DAY + time, duration })}
      />
      <NumberSelect
        label="Time (UTC)"
        description="When the window starts."
        values={withCurrent(TIMES, time)}
        format={timeText}
        value={time}
        onChange={(time) => setWindow({ offset: day * DAY + time, duration })}
      />
      <NumberSelect
        label="Duration"
        description="At least 6 hours."
        values={withCurrent(DURATIONS, duration)}
        format={durationText}
        value={duration}
        onChange={(duration) => setWindow({ offset, duration })}
      />
    </FormDialog>
  );
}
