import { Text } from "@mantine/core";
import { useState, type ReactNode } from "react";
import { ConfirmName } from "./ConfirmName";
import { FormDialog } from "./DialogForm";

interface Props {
  onClose: () => void;
  title: string;
  /** What will happen. */
  children?: ReactNode;
  /** The label of the button. */
  action: string;
  /** Must be typed before the button is enabled. */
  name?: string;
  onConfirm: () => void;
  pending?: boolean;
  error?: unknown;
}

/** Asks for confirmation before something is destroyed. It is mounted while it is open. */
export function ConfirmDialog({ title, children, action, name, onConfirm, onClose, pending = false, error }: Props) {
  const [typed, setTyped] = useState("");
  return (
    <FormDialog
      title={title}
      action={action}
      danger
      disabled={name !== undefined && typed !== name}
      pending={pending}
      error={error}
      onSubmit={onConfirm}
      onClose={onClose}
    >
      {typeof children === "string" ? <Text>{children}</Text> : children}
      {name !== undefined && <ConfirmName name={name} value={typed} onChange={setTyped} autoFocus />}
    </FormDialog>
  );
}
