import { Text, Title } from "@mantine/core";
import type { Icon } from "@tabler/icons-react";
import type { ReactNode } from "react";
import classes from "./Empty.module.css";

interface Props {
  icon: Icon;
  title: string;
  /** What this place is for, and what to do. */
  text?: ReactNode;
  action?: ReactNode;
  /** Level of its heading: 1 where it is the whole page. */
  order?: 1 | 2;
}

/** There is nothing here: why, and what to do. */
export function Empty({ icon: Sign, title, text, action, order = 2 }: Props) {
  return (
    <div className={classes.empty}>
      <div className={classes.sign}>
        <Sign size={26} stroke={1.5} aria-hidden />
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
