/** When a cluster expires, in words, as a pure function. */
import type { Cluster } from "../../api/client";
import type { Status } from "../../components/StatusBadge";
import { formatDateTime, formatRemaining } from "../../lib/format";

const SOON_MS = 3_600_000;

/** The badge of a cluster that expires; `null` for other clusters. `now` is in milliseconds. */
export function expiryOf(
  { expires_at, delete_protection, state }: Pick<Cluster, "expires_at" | "delete_protection" | "state">,
  now: number,
): Status | null {
  // Nothing is left of a cluster that couldn't be created, so it is not deleted.
  if (!expires_at || state === "DELETED" || state === "CREATION_FAILED") return null;
  const remaining = Date.parse(expires_at) - now;
  const time = formatDateTime(expires_at);
  if (delete_protection === "ENABLED") {
    const label = remaining > 0 ? `Expires in ${formatRemaining(remaining)}` : "Expired, but protected";
    return { label, tone: "quiet", hint: `${time}. Delete protection keeps the cluster until it is turned off.` };
  }
  if (remaining <= 0) return { label: "Expires now", tone: "warn", hint: time };
  const label = `Expires in ${formatRemaining(remaining)}`;
  return { label, tone: remaining < SOON_MS ? "warn" : "quiet", hint: time };
}
