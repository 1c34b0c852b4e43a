import { Chip, Group, NumberInput, Stack, Text } from "@mantine/core";
import { MAX_STORAGE_GIB_PER_VCPU, MAX_VCPUS, MIN_STORAGE_GIB, MIN_VCPUS, NODE_VCPUS } from "../../api/validation";
import { UsageLimits } from "../../features/cluster/UsageLimits";
import type { Draft } from "./draft";

interface Props {
  draft: Draft;
  onChange: (draft: Draft) => void;
  error: string | null;
}

const SUGGESTED_VCPUS = [2, 4, 8, 16, 32];

/** The capacity of a cluster: usage limits, vCPUs, or the size of the node, depending on the plan. */
export function Capacity({ draft, onChange, error }: Props) {
  switch (draft.plan) {
    case "BASIC":
      return (
        <Stack>
          <UsageLimits {...draft} onChange={(limits) => onChange({ ...draft, ...limits })} />
        </Stack>
      );
    case "STANDARD":
      return <Vcpus draft={draft} onChange={onChange} error={error} />;
    case "ADVANCED":
      return <NodeSize draft={draft} onChange={onChange} error={error} />;
  }
}

function Vcpus({ draft, onChange, error }: Props) {
  return (
    <Stack gap="xs">
      <Sizes
        label="Common sizes"
        sizes={SUGGESTED_VCPUS}
        value={draft.vcpus}
        onChange={(vcpus) => onChange({ ...draft, vcpus })}
      />
      <NumberInput
        label="vCPUs"
        description={`Use ${MIN_VCPUS} to ${MAX_VCPUS} vCPUs. You can increase them at any time and decrease them three times in seven days.`}
        value={draft.vcpus}
        min={MIN_VCPUS}
        max={MAX_VCPUS}
        allowDecimal={false}
        error={error}
        onChange={(value) => onChange({ ...draft, vcpus: Number(value) })}
        maw={420}
      />
    </Stack>
  );
}

function NodeSize({ draft, onChange, error }: Props) {
  const maxStorage = draft.nodeVcpus * MAX_STORAGE_GIB_PER_VCPU;
  return (
    <Stack gap="xs">
      <Text size="sm" fw={500}>
        vCPUs per node
      </Text>
      <Sizes
        label="vCPUs per node"
        sizes={NODE_VCPUS}
        value={draft.nodeVcpus}
        onChange={(nodeVcpus) => onChange({ ...draft, nodeVcpus })}
      />
      <Text size="xs" c="dimmed">
        Includes {draft.nodeVcpus * 4} GiB of memory.
      </Text>
      <NumberInput
        label="Storage per node"
        description={`Use ${MIN_STORAGE_GIB} to ${maxStorage} GiB. You can increase it later, but not decrease it.`}
        suffix=" GiB"
        min={MIN_STORAGE_GIB}
        max={maxStorage}
        allowDecimal={false}
        value={draft.nodeStorageGib}
        error={error}
        onChange={(value) => onChange({ ...draft, nodeStorageGib: Number(value) })}
        maw={420}
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
