import { Button, Stack } from "@mantine/core";
import { useRouter, type ErrorComponentProps } from "@tanstack/react-router";
import { errorMessage } from "../api/client";
import { ErrorAlert } from "../components/ErrorAlert";

/** Shown instead of a page that failed to load or to render. */
export function PageError({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  // After an upgrade of the server, an open console requests code that no longer exists.
  const stale = /dynamically imported module|Importing a module/i.test(errorMessage(error));
  const retry = () => {
    if (stale) return location.reload();
    reset();
    void router.invalidate();
  };
  return (
    <Stack align="flex-start" p="md">
      <ErrorAlert
        title={stale ? "The server has been upgraded or can't be reached" : "Couldn't load this page"}
        error={stale ? new Error("Reload the console to continue.") : error}
      />
      <Button onClick={retry} variant="default">
        {stale ? "Reload" : "Try again"}
      </Button>
    </Stack>
  );
}
