import { Button, Stack } from "@mantine/core";
import { useRouter, type ErrorComponentProps } from "@tanstack/react-router";
import { describe } from "../api/client";
import { ErrorNote } from "../components/ErrorNote";

/** A page that could not be shown; the frame around it stays. */
export function PageError({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  // After an upgrade of the server the old page asks for code that is gone.
  const stale = /dynamically imported module|Importing a module/i.test(describe(error));
  const again = () => {
    if (stale) return location.reload();
    reset();
    void router.invalidate();
  };
  return (
    <Stack align="flex-start" p="md">
      <ErrorNote
        title={stale ? "This page is from an older version, or the server can not be reached" : "This page failed"}
        error={stale ? new Error("Load the console again to go on.") : error}
      />
      <Button onClick={again} variant="default">
        {stale ? "Load again" : "Try again"}
      </Button>
    </Stack>
  );
}
