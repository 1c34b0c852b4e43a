import { Loader } from "@mantine/core";
import { useEffect, useState } from "react";
import { onConnectionChange } from "../api/client";
import { queryClient } from "../api/queries";
import classes from "./ConnectionBanner.module.css";

/** How often the console checks whether the server is available again. */
const CHECK_MS = 1_500;

/** Shown while the server can't be reached. Refetches everything once it is available again. */
export function ConnectionBanner() {
  const [connected, setConnected] = useState(true);
  useEffect(() => onConnectionChange(setConnected), []);
  useEffect(() => {
    if (connected) return;
    const check = async () => {
      const answer = await fetch("/api/ootheca/v1/session", { cache: "no-store" }).catch(() => null);
      if (!answer || answer.status >= 502) return;
      setConnected(true);
      void queryClient.invalidateQueries();
    };
    const timer = setInterval(() => void check(), CHECK_MS);
    return () => clearInterval(timer);
  }, [connected]);
  return (
    <div role="status" aria-live="polite">
      {!connected && (
        <div className={classes.banner}>
          <Loader size={14} color="currentColor" aria-hidden />
          The server can't be reached. It may be restarting. Reconnecting…
        </div>
      )}
    </div>
  );
}
