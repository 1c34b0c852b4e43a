import { Button } from "@mantine/core";
import { IconMapOff } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { Empty } from "../components/Empty";

export function NotFound() {
  return (
    <Empty
      icon={IconMapOff}
      title="There is nothing at this address"
      text="It may have been deleted, or the link is not complete."
      action={<Button renderRoot={(props) => <Link to="/clusters" {...props} />}>All clusters</Button>}
    />
  );
}
