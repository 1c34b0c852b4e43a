import { CopyButton } from "./CopyButton";
import classes from "./CodeBlock.module.css";

interface Props {
  code: string;
  /** Describes the code, also for the copy button. */
  label: string;
  /** Wraps long lines, for a command without line breaks. */
  wrap?: boolean;
}

/** Code with a copy button. It scrolls sideways, also with the keyboard. */
export function CodeBlock({ code, label, wrap }: Props) {
  return (
    <div className={classes.block}>
      <pre className={classes.code} data-wrap={wrap} tabIndex={0} role="region" aria-label={label}>
        <code>{code}</code>
      </pre>
      <div className={classes.copy}>
        <CopyButton value={code} label={`Copy ${label.charAt(0).toLowerCase()}${label.slice(1)}`} />
      </div>
    </div>
  );
}
