import { Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import classes from "./Toolbar.module.css";

/** A row above a list: the search at the left, buttons at the right. */
export function Toolbar({ children }: { children: ReactNode }) {
  return <div className={classes.toolbar}>{children}</div>;
}

interface HeaderProps {
  id?: string;
  title: string;
  text?: string;
  actions?: ReactNode;
}

/** The heading of a section, with its actions. */
export function SectionHeader({ id, title, text, actions }: HeaderProps) {
  return (
    <div className={classes.toolbar}>
      <div>
        <Title order={2} id={id}>
          {title}
        </Title>
        {text && (
          <Text size="sm" c="dimmed">
            {text}
          </Text>
        )}
      </div>
      {actions}
    </div>
  );
}
