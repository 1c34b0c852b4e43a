import { Button, Stack } from "@mantine/core";
import { IconPencil } from "@tabler/icons-react";
import { DescriptionList } from "../../components/DescriptionList";
import { SectionHeader } from "../../components/Toolbar";
import { frequencyText, retentionText, type BackupConfiguration } from "./schedule";

interface Props {
  configuration: BackupConfiguration;
  /** Whether the plan fixes the schedule. */
  fixed: boolean;
  /** Undefined if the user may not edit the schedule. */
  onEdit?: () => void;
}

/** The schedule of the backups of a cluster. */
export function ScheduleSection({ configuration, fixed, onEdit }: Props) {
  return (
    <section aria-labelledby="schedule">
      <Stack gap="xs">
        <SectionHeader
          id="schedule"
          title="Schedule"
          text={fixed ? "Basic clusters have a fixed schedule. You can't change it." : undefined}
          actions={
            onEdit && (
              <Button
                variant="default"
                leftSection={<IconPencil size={16} aria-hidden />}
                disabled={fixed}
                onClick={onEdit}
              >
                Edit schedule
              </Button>
            )
          }
        />
        <DescriptionList
          panel
          variant="rows"
          items={[
            { term: "Backups", value: configuration.enabled ? "Enabled" : "Disabled" },
            { term: "Frequency", value: frequencyText(configuration.frequency_minutes) },
            { term: "Retention", value: retentionText(configuration.retention_days) },
          ]}
        />
      </Stack>
    </section>
  );
}
