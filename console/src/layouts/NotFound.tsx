import { Button } from "@mantine/core";
import { IconMapOff } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { EmptyState } from "../components/EmptyState";

export function NotFound() {
  return (
    <EmptyState
      icon={IconMapOff}
      order={1}
      title="Page not found"
      text="The page may have been deleted, or the link is incomplete."
      action={<Button renderRoot={(props) => <Link to="/clusters" {...props} />}>View all clusters</Button>}
    />
  );
}

/** The same, outside AppLayout. */
export function BareNotFound() {
  return (
    <main>
      <NotFound />
    </main>
  );
}
