import { useState } from "react";
import { labelsError, labelsFromRows, type LabelRow } from "../../api/validation";
import { FormDialog } from "../../components/DialogForm";
import { LabelsInput } from "./LabelsInput";

interface Props {
  /** The name of the cluster or folder. */
  name: string;
  labels: Record<string, string>;
  pending: boolean;
  error: unknown;
  onSubmit: (labels: Record<string, string>) => void;
  onClose: () => void;
}

/** Edits the labels of a cluster or a folder. */
export function LabelsDialog({ name, labels, pending, error, onSubmit, onClose }: Props) {
  const [rows, setRows] = useState<LabelRow[]>(() => {
    const current = Object.entries(labels);
    return current.length > 0 ? current : [["", ""]];
  });
  const problem = labelsError(rows);
  return (
    <FormDialog
      title={`Edit labels of ${name}`}
      action="Save"
      disabled={problem !== null}
      pending={pending}
      error={error}
      errorTitle="Couldn't update the labels"
      onSubmit={() => onSubmit(labelsFromRows(rows))}
      onClose={onClose}
    >
      <LabelsInput rows={rows} onChange={setRows} problem={problem} />
    </FormDialog>
  );
}
