import { Anchor, Text, Title } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useEffect, type ReactNode } from "react";
import classes from "./Page.module.css";

export interface Crumb {
  label: string;
  /** A path of this console. */
  to?: string;
}

interface Props {
  title: string;
  /** Shown beside the title, for example a state. */
  badge?: ReactNode;
  /** A description below the title. */
  text?: ReactNode;
  /** Buttons beside the title. */
  actions?: ReactNode;
  breadcrumbs?: Crumb[];
  children?: ReactNode;
}

/** A page with its title, which also names the browser tab. */
export function Page({ title, badge, text, actions, breadcrumbs = [], children }: Props) {
  useEffect(() => {
    document.title = `${title} · Ootheca`;
  }, [title]);
  return (
    <div className={classes.page}>
      {breadcrumbs.length > 0 && (
        <nav aria-label="Breadcrumbs" className={classes.crumbs}>
          {breadcrumbs.map((crumb, index) => (
            <span key={`${index}-${crumb.label}`}>
              {crumb.to ? (
                <Anchor size="sm" c="dimmed" renderRoot={(props) => <Link {...props} to={crumb.to as string} />}>
                  {crumb.label}
                </Anchor>
              ) : (
                crumb.label
              )}
              <span aria-hidden className={classes.slash}>
                /
              </span>
            </span>
          ))}
        </nav>
      )}
      <div className={classes.head}>
        <div className={classes.title}>
          <Title order={1}>{title}</Title>
          {badge}
        </div>
        {actions && <div className={classes.actions}>{actions}</div>}
      </div>
      {text && (
        <Text c="dimmed" mt={4} maw={720}>
          {text}
        </Text>
      )}
      <div className={classes.body}>{children}</div>
    </div>
  );
}
