import { Alert, Button, CopyButton, Stack, Text } from "@mantine/core";
import { IconCheck, IconCopy, IconEyeOff } from "@tabler/icons-react";
import classes from "./Secret.module.css";

interface Props {
  label: string;
  value: string;
  /** What to do with it now. */
  note?: string;
}

/** A secret that is shown only once. */
export function Secret({ label, value, note = "Store it in a safe place. It won't be shown again." }: Props) {
  return (
    <Stack gap="xs">
      <Text fw={600} size="sm">
        {label}
      </Text>
      <div className={classes.box}>
        <code className={classes.value}>{value}</code>
        <CopyButton value={value} timeout={2000}>
          {({ copied, copy }) => (
            <Button
              size="xs"
              onClick={copy}
              leftSection={copied ? <IconCheck size={14} aria-hidden /> : <IconCopy size={14} aria-hidden />}
            >
              {copied ? "Copied" : "Copy"}
            </Button>
          )}
        </CopyButton>
      </div>
      <Alert color="yellow" variant="light" icon={<IconEyeOff size={16} aria-hidden />} p="xs">
        <Text size="sm">{note}</Text>
      </Alert>
    </Stack>
  );
}
