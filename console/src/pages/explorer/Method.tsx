/** A method of HTTP, of the same width everywhere. */
import classes from "./explorer.module.css";

export function Method({ name }: { name: string }) {
  return (
    <span className={classes.method} data-method={name}>
      {name === "DELETE" ? "DEL" : name}
    </span>
  );
}
