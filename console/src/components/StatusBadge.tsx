import { Loader } from "@mantine/core";
import classes from "./StatusBadge.module.css";

export interface Status {
  label: string;
  tone: "good" | "busy" | "quiet" | "warn" | "bad";
  /** Shown on hover. */
  hint?: string;
}

/** A state in a word or two; what is in progress has a spinner. */
export function StatusBadge({ label, tone, hint }: Status) {
  return (
    <span className={classes.badge} data-tone={tone} title={hint}>
      {tone === "busy" ? (
        <Loader size={10} color="currentColor" aria-hidden />
      ) : (
        <span className={classes.dot} aria-hidden />
      )}
      {label}
    </span>
  );
}
