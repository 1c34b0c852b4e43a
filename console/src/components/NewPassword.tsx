import { PasswordInput, Radio, Stack } from "@mantine/core";
import { generatePassword, passwordProblem } from "../api/names";

/** How a SQL user gets a password: made here, or chosen. */
export interface PasswordWish {
  own: boolean;
  text: string;
}

export const GENERATED: PasswordWish = { own: false, text: "" };

/** What is wrong with a wish, or null. */
export function wishProblem(wish: PasswordWish): string | null {
  return wish.own ? passwordProblem(wish.text) : null;
}

/** The password itself; a generated one is another each time. */
export function passwordOf(wish: PasswordWish): string {
  return wish.own ? wish.text : generatePassword();
}

interface Props {
  wish: PasswordWish;
  onChange: (wish: PasswordWish) => void;
  /** Shows what is wrong. */
  strict: boolean;
}

/** Asks how the password shall come about. */
export function NewPassword({ wish, onChange, strict }: Props) {
  return (
    <Stack gap="sm">
      <Radio.Group
        label="Password"
        value={wish.own ? "own" : "generate"}
        onChange={(value) => onChange({ ...wish, own: value === "own" })}
      >
        <Stack gap="xs" mt="xs">
          <Radio value="generate" label="Generate a strong one" />
          <Radio value="own" label="Choose one" />
        </Stack>
      </Radio.Group>
      {wish.own && (
        <PasswordInput
          label="New password"
          description="At least 12 characters"
          autoComplete="new-password"
          value={wish.text}
          onChange={(event) => onChange({ ...wish, text: event.currentTarget.value })}
          error={strict ? passwordProblem(wish.text) : null}
        />
      )}
    </Stack>
  );
}
