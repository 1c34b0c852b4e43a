import { DAY_NAMES, endOf, segments, WEEK, weekTimeText, type WeeklyWindow } from "./windows";
import classes from "./maintenance.module.css";

const percent = (seconds: number) => `${(seconds / WEEK) * 100}%`;

/** A week from Monday to Sunday with a window in it. */
export function WeekStrip({ window }: { window: WeeklyWindow }) {
  const label = `Every week from ${weekTimeText(window.offset)} to ${weekTimeText(endOf(window))}`;
  return (
    <div role="img" aria-label={label}>
      <div className={classes.days}>
        {DAY_NAMES.map((name) => (
          <span key={name}>{name.slice(0, 3)}</span>
        ))}
      </div>
      <div className={classes.track}>
        {segments(window).map(({ start, length }) => (
          <div key={start} className={classes.segment} style={{ left: percent(start), width: percent(length) }} />
        ))}
      </div>
    </div>
  );
}
