import { Copy } from "./Copy";
import classes from "./CodeBlock.module.css";

interface Props {
  code: string;
  /** What it is; also names the button that copies it. */
  label: string;
  /** Breaks long lines: for one command, where the lines are no part of it. */
  wrap?: boolean;
}

/** Code to take away. It scrolls sideways, also by keyboard. */
export function CodeBlock({ code, label, wrap }: Props) {
  return (
    <div className={classes.block}>
      <pre className={classes.code} data-wrap={wrap} tabIndex={0} role="region" aria-label={label}>
        <code>{code}</code>
      </pre>
      <div className={classes.copy}>
        <Copy value={code} label={`Copy ${label.charAt(0).toLowerCase()}${label.slice(1)}`} />
      </div>
    </div>
  );
}
