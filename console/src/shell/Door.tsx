import { Stack, Text, Title } from "@mantine/core";
import { useEffect, type ReactNode } from "react";
import { Mark } from "./Mark";
import classes from "./Door.module.css";

/** A page for who is not signed in. */
export function Door({ title, text, children }: { title: string; text?: ReactNode; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Ootheca`;
  }, [title]);
  return (
    <main className={classes.door}>
      <div className={classes.card}>
        <Mark linked={false} />
        <Stack gap={4} mt="lg" mb="lg">
          <Title order={1}>{title}</Title>
          {text && (
            <Text c="dimmed" size="sm">
              {text}
            </Text>
          )}
        </Stack>
        {children}
      </div>
    </main>
  );
}
