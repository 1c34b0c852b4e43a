import { Chip, Group, NumberInput, Stack, Switch, Text } from "@mantine/core";
import { MACHINES, SMALLEST_STORAGE, STORAGE_PER_VCPU, type Draft } from "./draft";
import classes from "./create.module.css";

interface Props {
  draft: Draft;
  onChange: (draft: Draft) => void;
  problem?: string;
}

/** A limit that can be left out. */
function Limit(props: {
  label: string;
  hint: string;
  unit: string;
  value: number | null;
  start: number;
  onChange: (value: number | null) => void;
}) {
  const { label, hint, unit, value, start, onChange } = props;
  return (
    <div className={classes.limit}>
      <Switch
        label={label}
        description={hint}
        checked={value !== null}
        onChange={(event) => onChange(event.currentTarget.checked ? start : null)}
      />
      {value !== null && (
        <NumberInput
          aria-label={`${label}, in ${unit}`}
          value={value}
          min={1}
          thousandSeparator=" "
          allowDecimal={false}
          suffix={` ${unit}`}
          onChange={(next) => onChange(Number(next) || 1)}
          maw={240}
        />
      )}
    </div>
  );
}

export function Capacity({ draft, onChange, problem }: Props) {
  if (draft.plan === "BASIC") {
    return (
      <Stack>
        <Limit
          label="Limit request units"
          hint="When a month’s are used up, the cluster takes no connections until the next month or a higher limit."
          unit="RU a month"
          value={draft.requestUnits}
          start={50_000_000}
          onChange={(requestUnits) => onChange({ ...draft, requestUnits })}
        />
        <Limit
          label="Limit storage"
          hint="Above it one session at a time may connect, to delete."
          unit="MiB"
          value={draft.storageMib}
          start={10_240}
          onChange={(storageMib) => onChange({ ...draft, storageMib })}
        />
      </Stack>
    );
  }
  if (draft.plan === "STANDARD") {
    return (
      <Stack gap="xs">
        <Sizes
          label="vCPUs"
          sizes={[2, 4, 8, 16, 32]}
          value={draft.vcpus}
          onChange={(vcpus) => onChange({ ...draft, vcpus })}
        />
        <NumberInput
          label="vCPUs"
          description="You can raise them at any time, and lower them three times a week."
          value={draft.vcpus}
          min={2}
          max={200}
          allowDecimal={false}
          error={problem}
          onChange={(value) => onChange({ ...draft, vcpus: Number(value) })}
          maw={240}
        />
      </Stack>
    );
  }
  return (
    <Stack gap="xs">
      <Text size="sm" fw={500}>
        vCPUs of the node
      </Text>
      <Sizes
        label="vCPUs of the node"
        sizes={MACHINES}
        value={draft.machineVcpus}
        onChange={(machineVcpus) => onChange({ ...draft, machineVcpus })}
      />
      <Text size="xs" c="dimmed">
        With {draft.machineVcpus * 4} GiB of memory.
      </Text>
      <NumberInput
        label="Storage of the node"
        description="It can grow later, but not shrink."
        suffix=" GiB"
        min={SMALLEST_STORAGE}
        max={draft.machineVcpus * STORAGE_PER_VCPU}
        allowDecimal={false}
        value={draft.machineStorage}
        error={problem}
        onChange={(value) => onChange({ ...draft, machineStorage: Number(value) })}
        maw={240}
      />
    </Stack>
  );
}

function Sizes(props: { label: string; sizes: number[]; value: number; onChange: (value: number) => void }) {
  return (
    <Chip.Group value={String(props.value)} onChange={(value) => props.onChange(Number(value))}>
      <Group gap="xs" role="radiogroup" aria-label={props.label}>
        {props.sizes.map((size) => (
          <Chip key={size} value={String(size)} radius="sm">
            {size}
          </Chip>
        ))}
      </Group>
    </Chip.Group>
  );
}
