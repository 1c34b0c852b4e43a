import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useState, type ReactNode } from "react";
import { ErrorNote } from "./ErrorNote";

interface Props {
  opened: boolean;
  onClose: () => void;
  title: string;
  /** What will happen. */
  children?: ReactNode;
  /** The text of the button. */
  action: string;
  /** Must be typed before the button works. */
  name?: string;
  onConfirm: () => void;
  pending?: boolean;
  error?: unknown;
}

/** Asks before something is destroyed. */
export function Confirm({ opened, onClose, title, children, action, name, onConfirm, pending, error }: Props) {
  const [typed, setTyped] = useState("");
  const ready = name === undefined || typed === name;
  const close = () => {
    setTyped("");
    onClose();
  };
  return (
    <Modal opened={opened} onClose={close} title={title}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (ready && !pending) onConfirm();
        }}
      >
        <Stack>
          {typeof children === "string" ? <Text>{children}</Text> : children}
          {name !== undefined && (
            <TextInput
              label={
                <>
                  Type <code>{name}</code> to confirm
                </>
              }
              value={typed}
              onChange={(event) => setTyped(event.currentTarget.value)}
              autoComplete="off"
              spellCheck={false}
              data-autofocus
            />
          )}
          {error !== undefined && error !== null && <ErrorNote error={error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button color="red.8" type="submit" disabled={!ready} loading={pending}>
              {action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
