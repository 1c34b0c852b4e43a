import { Button, Group, Modal, NumberInput, Stack, Switch, Text } from "@mantine/core";
import { useState } from "react";
import type { Cluster, Schemas } from "../../api/client";
import { ErrorNote } from "../../components/ErrorNote";
import { useUpdateCluster, type ClusterChange } from "../../components/cluster/changes";
import { amount } from "../../components/cluster/words";

interface Values {
  units: number | null;
  storageMib: number | null;
  cpus: number;
  storageGib: number;
}

function valuesOf(cluster: Cluster): Values {
  const limits = cluster.config.serverless?.usage_limits;
  const { dedicated } = cluster.config;
  return {
    units: amount(limits?.request_unit_limit),
    storageMib: amount(limits?.storage_mib_limit),
    cpus: amount(limits?.provisioned_virtual_cpus) ?? dedicated?.num_virtual_cpus ?? 2,
    storageGib: dedicated?.storage_gib ?? 0,
  };
}

function changeOf(plan: Schemas["Plan"], values: Values): ClusterChange {
  if (plan === "STANDARD") {
    return { serverless: { usage_limits: { provisioned_virtual_cpus: String(values.cpus) } } };
  }
  if (plan === "ADVANCED") {
    const hardware = { machine_spec: { num_virtual_cpus: values.cpus }, storage_gib: values.storageGib };
    return { dedicated: { hardware } };
  }
  return {
    serverless: {
      usage_limits: {
        ...(values.units === null ? {} : { request_unit_limit: String(values.units) }),
        ...(values.storageMib === null ? {} : { storage_mib_limit: String(values.storageMib) }),
      },
    },
  };
}

/** Mounted while it is open. */
export function LimitsDialog({ cluster, onClose }: { cluster: Cluster; onClose: () => void }) {
  const [values, setValues] = useState(() => valuesOf(cluster));
  const update = useUpdateCluster(cluster, "The capacity is changed", onClose, null);
  const set = (part: Partial<Values>) => setValues({ ...values, ...part });
  return (
    <Modal opened onClose={onClose} title={cluster.plan === "BASIC" ? "Limits" : "Capacity"}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          update.mutate(changeOf(cluster.plan, values));
        }}
      >
        <Stack>
          {cluster.plan === "BASIC" && (
            <>
              <OptionalLimit
                label="Limit request units"
                suffix=" RU a month"
                value={values.units}
                start={50_000_000}
                onChange={(units) => set({ units })}
              />
              <OptionalLimit
                label="Limit storage"
                suffix=" MiB"
                value={values.storageMib}
                start={10_240}
                onChange={(storageMib) => set({ storageMib })}
              />
            </>
          )}
          {cluster.plan !== "BASIC" && (
            <NumberInput
              label="vCPUs"
              data-autofocus
              allowDecimal={false}
              min={2}
              max={200}
              value={values.cpus}
              onChange={(value) => set({ cpus: Number(value) })}
            />
          )}
          {cluster.plan === "ADVANCED" && (
            <NumberInput
              label="Storage"
              description="It can grow, but not shrink."
              suffix=" GiB"
              allowDecimal={false}
              value={values.storageGib}
              onChange={(value) => set({ storageGib: Number(value) })}
            />
          )}
          <Text size="sm" c="dimmed">
            {cluster.plan === "STANDARD"
              ? "Raise them at any time; lower them at most three times in seven days. It takes effect at once."
              : "It takes effect at once."}
          </Text>
          {update.error && <ErrorNote error={update.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={update.isPending}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

function OptionalLimit(props: {
  label: string;
  suffix: string;
  value: number | null;
  start: number;
  onChange: (value: number | null) => void;
}) {
  const { label, suffix, value, start, onChange } = props;
  return (
    <Stack gap={8}>
      <Switch
        label={label}
        checked={value !== null}
        onChange={(event) => onChange(event.currentTarget.checked ? start : null)}
      />
      {value !== null && (
        <NumberInput
          aria-label={label}
          suffix={suffix}
          thousandSeparator=" "
          allowDecimal={false}
          min={1}
          value={value}
          onChange={(next) => onChange(Number(next) || 1)}
        />
      )}
    </Stack>
  );
}
