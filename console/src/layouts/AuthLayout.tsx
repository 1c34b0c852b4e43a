import { Stack, Text, Title } from "@mantine/core";
import { useEffect, type ReactNode } from "react";
import { Logo } from "./Logo";
import classes from "./AuthLayout.module.css";

/** The layout of the pages for signing in. */
export function AuthLayout({ title, text, children }: { title: string; text?: ReactNode; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Ootheca`;
  }, [title]);
  return (
    <main className={classes.layout}>
      <div className={classes.card}>
        <Logo linked={false} />
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
