import { NumberInput, Stack, Switch } from "@mantine/core";

interface Props {
  label: string;
  description?: string;
  unit: string;
  /** `null` means unlimited. */
  value: number | null;
  /** The value when the limit is turned on. */
  initial: number;
  onChange: (value: number | null) => void;
}

/** A limit that can be turned off. */
function OptionalLimit({ label, description, unit, value, initial, onChange }: Props) {
  return (
    <Stack gap={8}>
      <Switch
        label={label}
        description={description}
        checked={value !== null}
        onChange={(event) => onChange(event.currentTarget.checked ? initial : null)}
      />
      {value !== null && (
        <NumberInput
          aria-label={`${label} (${unit})`}
          value={value}
          min={1}
          thousandSeparator=","
          allowDecimal={false}
          suffix={` ${unit}`}
          onChange={(next) => onChange(Number(next) || 1)}
          maw={240}
        />
      )}
    </Stack>
  );
}

interface LimitsProps {
  requestUnits: number | null;
  storageMib: number | null;
  onChange: (limits: { requestUnits?: number | null; storageMib?: number | null }) => void;
}

const DEFAULT_REQUEST_UNITS = 50_000_000;
const DEFAULT_STORAGE_MIB = 10_240;

/** The usage limits of a Basic cluster. */
export function UsageLimits({ requestUnits, storageMib, onChange }: LimitsProps) {
  return (
    <>
      <OptionalLimit
        label="Limit request units"
        description="When the monthly allowance is used up, the cluster is disabled until next month or until you raise the limit."
        unit="RU per month"
        value={requestUnits}
        initial={DEFAULT_REQUEST_UNITS}
        onChange={(value) => onChange({ requestUnits: value })}
      />
      <OptionalLimit
        label="Limit storage"
        description="Over the limit, only one connection at a time is allowed, so that you can delete data."
        unit="MiB"
        value={storageMib}
        initial={DEFAULT_STORAGE_MIB}
        onChange={(value) => onChange({ storageMib: value })}
      />
    </>
  );
}
