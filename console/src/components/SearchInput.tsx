import { CloseButton, TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import classes from "./Toolbar.module.css";

interface Props {
  label: string;
  placeholder: string;
  value: string;
  onChange: (value: string) => void;
}

/** A search field with a button that clears it. */
export function SearchInput({ label, placeholder, value, onChange }: Props) {
  return (
    <TextInput
      className={classes.search}
      aria-label={label}
      placeholder={placeholder}
      leftSection={<IconSearch size={16} aria-hidden />}
      rightSection={value ? <CloseButton size="sm" aria-label="Clear search" onClick={() => onChange("")} /> : null}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
