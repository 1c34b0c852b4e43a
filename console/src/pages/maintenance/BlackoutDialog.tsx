import { TextInput } from "@mantine/core";
import { useState } from "react";
import { BLACKOUT_END_RULE, BLACKOUT_START_RULE, blackoutEndError, blackoutStartError } from "../../api/validation";
import { FormDialog } from "../../components/DialogForm";
import { withRule } from "../../components/withRule";
import { fromUtcInput } from "../../lib/format";
import { useSaveBlackoutWindow } from "./data";
import { suggestedInputs, toInputs, toTimes, type BlackoutWindow } from "./windows";

interface Props {
  cluster: string;
  /** The window to edit. Without it, the dialog creates one. */
  blackout?: BlackoutWindow;
  onClose: () => void;
}

/** Creates or edits a blackout window. */
export function BlackoutDialog({ cluster, blackout, onClose }: Props) {
  const [now] = useState(() => Date.now());
  const [initial] = useState(() => (blackout ? toInputs(blackout) : suggestedInputs(now)));
  const [inputs, setInputs] = useState(initial);
  const [showErrors, setShowErrors] = useState(false);
  const save = useSaveBlackoutWindow(cluster, blackout);
  const start = fromUtcInput(inputs.start);
  const moved = !blackout || inputs.start !== initial.start;
  const startError = moved ? blackoutStartError(start, now) : null;
  const endError = blackoutEndError(start, fromUtcInput(inputs.end));
  const submit = () => {
    setShowErrors(true);
    if (!startError && !endError) save.mutate(toTimes(inputs), { onSuccess: onClose });
  };
  return (
    <FormDialog
      title={blackout ? "Edit blackout window" : "Create blackout window"}
      action={blackout ? "Save" : "Create blackout window"}
      noValidate
      disabled={!moved && inputs.end === initial.end}
      pending={save.isPending}
      error={save.error}
      errorTitle={`Couldn't ${blackout ? "update" : "create"} the blackout window`}
      onSubmit={submit}
      onClose={onClose}
    >
      <TextInput
        label="Start (UTC)"
        type="datetime-local"
        value={inputs.start}
        onChange={(event) => setInputs({ ...inputs, start: event.currentTarget.value })}
        data-autofocus
        {...withRule(BLACKOUT_START_RULE, showErrors ? startError : null)}
      />
      <TextInput
        label="End (UTC)"
        type="datetime-local"
        value={inputs.end}
        onChange={(event) => setInputs({ ...inputs, end: event.currentTarget.value })}
        {...withRule(BLACKOUT_END_RULE, showErrors ? endError : null)}
      />
    </FormDialog>
  );
}
