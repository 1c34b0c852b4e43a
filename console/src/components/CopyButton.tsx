import { ActionIcon, CopyButton as MantineCopyButton, Tooltip, UnstyledButton } from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";
import classes from "./CopyButton.module.css";

interface Props {
  value: string;
  /** Describes the value for screen readers. */
  label?: string;
  /** Shows the value as part of the button. */
  inline?: boolean;
}

/** Copies a value to the clipboard. */
export function CopyButton({ value, label = "Copy", inline = false }: Props) {
  return (
    <MantineCopyButton value={value} timeout={1500}>
      {({ copied, copy }) => {
        const icon = copied ? <IconCheck size={14} aria-hidden /> : <IconCopy size={14} aria-hidden />;
        return (
          <Tooltip label={copied ? "Copied" : label}>
            {inline ? (
              <UnstyledButton
                className={classes.inline}
                onClick={copy}
                aria-label={copied ? "Copied" : `${label} ${value}`}
              >
                <code>{value}</code>
                {icon}
              </UnstyledButton>
            ) : (
              <ActionIcon variant="subtle" color="gray" size="sm" onClick={copy} aria-label={copied ? "Copied" : label}>
                {icon}
              </ActionIcon>
            )}
          </Tooltip>
        );
      }}
    </MantineCopyButton>
  );
}
