/** An HTTP method, always of the same width. */
import classes from "./explorer.module.css";

export function Method({ name }: { name: string }) {
  return (
    <span className={classes.method} data-method={name}>
      {name === "DELETE" ? "DEL" : name}
    </span>
  );
}
