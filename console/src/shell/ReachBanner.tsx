import { Loader } from "@mantine/core";
import { useEffect, useState } from "react";
import { onReach } from "../api/client";
import { queryClient } from "../api/queries";
import classes from "./ReachBanner.module.css";

/** Between two looks at whether the server is back. */
const LOOK_MS = 1_500;

/** Says that the server does not answer, looks for it, and brings the page up to date when it is back. */
export function ReachBanner() {
  const [reached, setReached] = useState(true);
  useEffect(() => onReach(setReached), []);
  useEffect(() => {
    if (reached) return;
    const look = async () => {
      const answer = await fetch("/api/ootheca/v1/session", { cache: "no-store" }).catch(() => null);
      if (!answer || answer.status >= 502) return;
      setReached(true);
      void queryClient.invalidateQueries();
    };
    const timer = setInterval(() => void look(), LOOK_MS);
    return () => clearInterval(timer);
  }, [reached]);
  return (
    <div role="status" aria-live="polite">
      {!reached && (
        <div className={classes.banner}>
          <Loader size={14} color="currentColor" aria-hidden />
          The server does not answer; it may be restarting. Trying again…
        </div>
      )}
    </div>
  );
}
