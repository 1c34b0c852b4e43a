import { Select } from "@mantine/core";
import { DateTimeInput } from "../../components/DateTimeInput";
import { withRule } from "../../components/withRule";
import { EXPIRIES, EXPIRY_RULE, type CloneDraft, type Expiry } from "./draft";

interface Props {
  draft: CloneDraft;
  error: string | null;
  onChange: (part: Partial<CloneDraft>) => void;
}

/** When a clone expires. */
export function ExpiryFields({ draft, error, onChange }: Props) {
  return (
    <>
      <Select
        label="Expires"
        description="The new cluster and all of its data are deleted when it expires."
        data={EXPIRIES.map(({ value, label }) => ({ value, label }))}
        value={draft.expiry}
        onChange={(expiry) => expiry && onChange({ expiry: expiry as Expiry })}
        allowDeselect={false}
      />
      {draft.expiry === "custom" && (
        <DateTimeInput
          label="Expiry time"
          value={draft.expiresAt}
          onChange={(expiresAt) => onChange({ expiresAt })}
          {...withRule(EXPIRY_RULE, draft.expiresAt ? error : null)}
        />
      )}
    </>
  );
}
