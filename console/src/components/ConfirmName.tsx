import { TextInput } from "@mantine/core";

interface Props {
  /** Must be typed. */
  name: string;
  value: string;
  onChange: (value: string) => void;
  /** Whether a dialog focuses the field when it opens. */
  autoFocus?: boolean;
}

/** Asks for a name, so that nothing is destroyed by a wrong click. */
export function ConfirmName({ name, value, onChange, autoFocus }: Props) {
  return (
    <TextInput
      label={
        <>
          Type <code>{name}</code> to confirm
        </>
      }
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
      autoComplete="off"
      spellCheck={false}
      data-autofocus={autoFocus || undefined}
    />
  );
}
