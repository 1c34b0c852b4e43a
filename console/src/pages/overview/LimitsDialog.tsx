import { NumberInput, Text } from "@mantine/core";
import { useState } from "react";
import type { Cluster, Schemas } from "../../api/client";
import { MAX_VCPUS, MIN_VCPUS, storageError, vcpusError } from "../../api/validation";
import { FormDialog } from "../../components/DialogForm";
import { limitsOf } from "../../features/cluster/format";
import { useUpdateCluster, type ClusterUpdate } from "../../features/cluster/mutations";
import { UsageLimits } from "../../features/cluster/UsageLimits";

interface Values {
  requestUnits: number | null;
  storageMib: number | null;
  vcpus: number;
  storageGib: number;
}

function valuesOf(cluster: Cluster): Values {
  const limits = limitsOf(cluster);
  return {
    requestUnits: limits.requestUnits,
    storageMib: limits.storageMib,
    vcpus: limits.vcpus ?? MIN_VCPUS,
    storageGib: cluster.config.dedicated?.storage_gib ?? 0,
  };
}

function toUpdate(plan: Schemas["Plan"], values: Values): ClusterUpdate {
  if (plan === "STANDARD") {
    return { serverless: { usage_limits: { provisioned_virtual_cpus: String(values.vcpus) } } };
  }
  if (plan === "ADVANCED") {
    const hardware = { machine_spec: { num_virtual_cpus: values.vcpus }, storage_gib: values.storageGib };
    return { dedicated: { hardware } };
  }
  return {
    serverless: {
      usage_limits: {
        ...(values.requestUnits === null ? {} : { request_unit_limit: String(values.requestUnits) }),
        ...(values.storageMib === null ? {} : { storage_mib_limit: String(values.storageMib) }),
      },
    },
  };
}

/** Edits the usage limits of a Basic cluster, or the capacity of another one. */
export function LimitsDialog({ cluster, onClose }: { cluster: Cluster; onClose: () => void }) {
  const { plan } = cluster;
  const [values, setValues] = useState(() => valuesOf(cluster));
  const update = useUpdateCluster(cluster, {
    successMessage: plan === "BASIC" ? "Limits updated" : "Capacity updated",
    errorTitle: null,
    onSuccess: onClose,
  });
  const set = (part: Partial<Values>) => setValues({ ...values, ...part });
  const invalid =
    (plan === "STANDARD" && vcpusError(values.vcpus)) ||
    (plan === "ADVANCED" && storageError(values.storageGib, values.vcpus));
  return (
    <FormDialog
      title={plan === "BASIC" ? "Edit limits" : "Edit capacity"}
      action="Save"
      disabled={invalid}
      pending={update.isPending}
      error={update.error}
      errorTitle={plan === "BASIC" ? "Couldn't update the limits" : "Couldn't update the capacity"}
      onSubmit={() => update.mutate(toUpdate(plan, values))}
      onClose={onClose}
    >
      {plan === "BASIC" ? (
        <UsageLimits {...values} onChange={set} />
      ) : (
        <NumberInput
          label="vCPUs"
          data-autofocus
          allowDecimal={false}
          min={MIN_VCPUS}
          max={MAX_VCPUS}
          value={values.vcpus}
          onChange={(value) => set({ vcpus: Number(value) })}
        />
      )}
      {plan === "ADVANCED" && (
        <NumberInput
          label="Storage"
          description="You can increase the storage, but not decrease it."
          suffix=" GiB"
          allowDecimal={false}
          value={values.storageGib}
          onChange={(value) => set({ storageGib: Number(value) })}
        />
      )}
      <Text size="sm" c="dimmed">
        {plan === "STANDARD"
          ? "Changes take effect immediately. You can increase vCPUs at any time and decrease them three times in seven days."
          : "Changes take effect immediately."}
      </Text>
    </FormDialog>
  );
}
