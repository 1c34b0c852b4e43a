import { PasswordInput, Radio, Stack } from "@mantine/core";
import { PASSWORD_RULE, passwordError } from "../../api/validation";
import { withRule } from "../../components/withRule";
import { generatePassword } from "../../lib/generate-password";

/** The password of a SQL user: generated, or chosen by the user. */
export interface PasswordChoice {
  generated: boolean;
  text: string;
}

export const GENERATED: PasswordChoice = { generated: true, text: "" };

export function passwordChoiceError(choice: PasswordChoice): string | null {
  return choice.generated ? null : passwordError(choice.text);
}

/** The password to send. Each call generates another one. */
export function passwordOf(choice: PasswordChoice): string {
  return choice.generated ? generatePassword() : choice.text;
}

interface Props {
  choice: PasswordChoice;
  onChange: (choice: PasswordChoice) => void;
  showErrors: boolean;
}

export function PasswordFields({ choice, onChange, showErrors }: Props) {
  return (
    <Stack gap="sm">
      <Radio.Group
        label="Password"
        value={choice.generated ? "generate" : "custom"}
        onChange={(value) => onChange({ ...choice, generated: value === "generate" })}
      >
        <Stack gap="xs" mt="xs">
          <Radio value="generate" label="Generate a strong password" />
          <Radio value="custom" label="Enter a password" />
        </Stack>
      </Radio.Group>
      {!choice.generated && (
        <PasswordInput
          label="New password"

          autoComplete="new-password"
          value={choice.text}
          onChange={(event) => onChange({ ...choice, text: event.currentTarget.value })}
          {...withRule(PASSWORD_RULE, showErrors ? passwordError(choice.text) : null)}
        />
      )}
    </Stack>
  );
}
