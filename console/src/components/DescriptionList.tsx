import { Anchor } from "@mantine/core";
import type { ReactNode } from "react";
import classes from "./DescriptionList.module.css";

export interface Description {
  term: string;
  value: ReactNode;
  /** Adds an Edit link. */
  onEdit?: () => void;
}

interface Props {
  items: (Description | false | null | undefined)[];
  /** `rows` separates the items by lines; `summary` aligns the values to the right. */
  variant?: "plain" | "rows" | "summary";
  /** Draws a panel around the list. */
  panel?: boolean;
}

/** Names and values. On a narrow screen the values of `rows` move below their names. */
export function DescriptionList({ items, variant = "plain", panel = false }: Props) {
  const shown = items.filter((item): item is Description => Boolean(item));
  return (
    <dl className={panel ? `panel ${classes.list} ${classes.panel}` : classes.list} data-variant={variant}>
      {shown.map(({ term, value, onEdit }) => (
        <div key={term} className={classes.item}>
          <dt>{term}</dt>
          <dd>
            <span className={classes.value}>{value}</span>
            {onEdit && (
              <Anchor
                component="button"
                type="button"
                size="sm"
                onClick={onEdit}
                aria-label={`Edit ${term.toLowerCase()}`}
              >
                Edit
              </Anchor>
            )}
          </dd>
        </div>
      ))}
    </dl>
  );
}
