import { Alert, Button, CopyButton, Stack, Text } from "@mantine/core";
import { IconCheck, IconCopy, IconEyeOff } from "@tabler/icons-react";
import classes from "./SecretOnce.module.css";

/** A secret that is shown only now. */
export function SecretOnce({ label, value }: { label: string; value: string }) {
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
        <Text size="sm">It is shown this once. The server keeps only a hash; keep it in a safe place now.</Text>
      </Alert>
    </Stack>
  );
}
