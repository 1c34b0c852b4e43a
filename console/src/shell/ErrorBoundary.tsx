import { Button, Stack } from "@mantine/core";
import { Component, type ReactNode } from "react";
import { ErrorNote } from "../components/ErrorNote";

/** The last resort: what no page caught. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error?: Error }> {
  override state: { error?: Error } = {};

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    if (!this.state.error) return this.props.children;
    return (
      <Stack align="flex-start" p="xl">
        <ErrorNote title="The console failed" error={this.state.error} />
        <Button onClick={() => location.reload()}>Load again</Button>
      </Stack>
    );
  }
}
