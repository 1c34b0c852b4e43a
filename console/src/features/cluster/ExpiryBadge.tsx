import type { Cluster } from "../../api/client";
import { StatusBadge } from "../../components/StatusBadge";
import { useNow } from "../../lib/useNow";
import { expiryOf } from "./expiry";

/** When a cluster expires; nothing for other clusters. The exact time shows on hover. */
export function ExpiryBadge({ cluster }: { cluster: Cluster }) {
  const expiry = expiryOf(cluster, useNow());
  return expiry && <StatusBadge {...expiry} />;
}
