import { ActionIcon, CopyButton, Tooltip, UnstyledButton } from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";
import classes from "./Copy.module.css";

interface Props {
  value: string;
  /** What is copied, for screen readers. */
  label?: string;
  /** The value itself is the button. */
  inline?: boolean;
}

/** Copies a text. */
export function Copy({ value, label = "Copy", inline = false }: Props) {
  return (
    <CopyButton value={value} timeout={1500}>
      {({ copied, copy }) => {
        const sign = copied ? <IconCheck size={14} aria-hidden /> : <IconCopy size={14} aria-hidden />;
        return (
          <Tooltip label={copied ? "Copied" : label}>
            {inline ? (
              <UnstyledButton
                className={classes.inline}
                onClick={copy}
                aria-label={copied ? "Copied" : `${label} ${value}`}
              >
                <code>{value}</code>
                {sign}
              </UnstyledButton>
            ) : (
              <ActionIcon variant="subtle" color="gray" size="sm" onClick={copy} aria-label={copied ? "Copied" : label}>
                {sign}
              </ActionIcon>
            )}
          </Tooltip>
        );
      }}
    </CopyButton>
  );
}
