import { Button, Group, Modal, Stack, Text, type MantineSize } from "@mantine/core";
import type { ReactNode } from "react";
import { ErrorAlert } from "./ErrorAlert";

interface FormProps {
  /** The label of the submit button. */
  action: string;
  onSubmit: () => void;
  onCancel: () => void;
  pending: boolean;
  /** Why the form can't be submitted yet. Without a text the button is only disabled. */
  disabled?: boolean | string | null;
  error?: unknown;
  errorTitle?: string;
  /** Colors the submit button as destructive. */
  danger?: boolean;
  /** Turns the browser's own validation off, for forms that show their errors themselves. */
  noValidate?: boolean;
  children: ReactNode;
}

/** The fields of a dialog, followed by the error of the last attempt, Cancel, and the submit button. */
export function DialogForm({ action, onSubmit, onCancel, pending, disabled, danger, noValidate, ...rest }: FormProps) {
  const { error, errorTitle, children } = rest;
  return (
    <form
      noValidate={noValidate}
      onSubmit={(event) => {
        event.preventDefault();
        if (!disabled && !pending) onSubmit();
      }}
    >
      <Stack>
        {children}
        {error != null && <ErrorAlert title={errorTitle} error={error} />}
        <Group justify="flex-end">
          {typeof disabled === "string" && (
            <Text size="sm" c="dimmed" role="status">
              {disabled}
            </Text>
          )}
          <Button variant="default" onClick={onCancel}>
            Cancel
          </Button>
          <Button type="submit" color={danger ? "red.8" : undefined} loading={pending} disabled={Boolean(disabled)}>
            {action}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

interface DialogProps extends Omit<FormProps, "onCancel"> {
  title: string;
  size?: MantineSize;
  onClose: () => void;
}

/** A modal dialog with a form. It is mounted while it is open. */
export function FormDialog({ title, size, onClose, ...form }: DialogProps) {
  return (
    <Modal opened onClose={onClose} title={title} size={size}>
      <DialogForm {...form} onCancel={onClose} />
    </Modal>
  );
}

/** The end of a dialog that shows a result: one button that closes it. */
export function DialogDone({ onClose, autoFocus }: { onClose: () => void; autoFocus?: boolean }) {
  return (
    <Group justify="flex-end">
      <Button onClick={onClose} data-autofocus={autoFocus || undefined}>
        Done
      </Button>
    </Group>
  );
}
