import { Button, Stack } from "@mantine/core";
import { Component, type ReactNode } from "react";
import { ErrorAlert } from "../components/ErrorAlert";

/** Shows errors that no page has handled. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error?: Error }> {
  override state: { error?: Error } = {};

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    if (!this.state.error) return this.props.children;
    return (
      <Stack align="flex-start" p="xl">
        <ErrorAlert title="Something went wrong" error={this.state.error} />
        <Button onClick={() => location.reload()}>Reload</Button>
      </Stack>
    );
  }
}
