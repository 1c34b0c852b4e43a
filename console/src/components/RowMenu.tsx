import { ActionIcon, Menu } from "@mantine/core";
import { IconDots, type Icon } from "@tabler/icons-react";

export interface RowAction {
  label: string;
  icon: Icon;
  danger?: boolean;
  run: () => void;
}

/** The menu of a row. */
export function RowMenu({ name, actions }: { name: string; actions: RowAction[] }) {
  return (
    <Menu>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${name}`}>
          <IconDots size={18} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {actions.map(({ label, icon: Icon, danger, run }) => (
          <Menu.Item
            key={label}
            onClick={run}
            color={danger ? "light-dark(var(--mantine-color-red-8), var(--mantine-color-red-4))" : undefined}
            leftSection={<Icon size={16} aria-hidden />}
          >
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
