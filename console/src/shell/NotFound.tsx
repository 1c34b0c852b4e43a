import { Button } from "@mantine/core";
import { IconMapOff } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { Empty } from "../components/Empty";

export function NotFound() {
  return (
    <Empty
      icon={IconMapOff}
      order={1}
      title="There is nothing at this address"
      text="It may have been deleted, or the link is not complete."
      action={<Button renderRoot={(props) => <Link to="/clusters" {...props} />}>All clusters</Button>}
    />
  );
}

/** The same where there is no frame around it. */
export function Nowhere() {
  return (
    <main>
      <NotFound />
    </main>
  );
}
