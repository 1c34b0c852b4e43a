import { Text, Title } from "@mantine/core";
import type { Icon } from "@tabler/icons-react";
import type { ReactNode } from "react";
import classes from "./EmptyState.module.css";

interface Props {
  icon: Icon;
  title: string;
  /** Explains what to do. */
  text?: ReactNode;
  action?: ReactNode;
  /** The level of the heading: 1 if this is the whole page. */
  order?: 1 | 2;
}

/** Shown instead of an empty list: why it is empty, and what to do. */
export function EmptyState({ icon: Icon, title, text, action, order = 2 }: Props) {
  return (
    <div className={classes.empty}>
      <div className={classes.icon}>
        <Icon size={26} stroke={1.5} aria-hidden />
      </div>
      <Title order={order} size="h2">
        {title}
      </Title>
      {text && (
        <Text c="dimmed" maw={460}>
          {text}
        </Text>
      )}
      {action && <div className={classes.action}>{action}</div>}
    </div>
  );
}
