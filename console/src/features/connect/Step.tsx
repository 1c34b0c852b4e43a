import { Stack, Title } from "@mantine/core";
import type { ReactNode } from "react";
import classes from "./Connect.module.css";

/** One step; the list numbers it. */
export function Step({ title, children }: { title: string; children: ReactNode }) {
  return (
    <li className={classes.step}>
      <Stack gap="xs">
        <Title order={3}>{title}</Title>
        {children}
      </Stack>
    </li>
  );
}
