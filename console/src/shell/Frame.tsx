/** The frame around every page: navigation of the organization, or of the cluster one looks at. */
import { Burger, Drawer, Skeleton } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { Suspense, useCallback, useEffect, useRef } from "react";
import { onSessionEnded } from "../api/client";
import { follow } from "../api/live";
import { keys, queryClient, useSession } from "../api/queries";
import { Mark } from "./Mark";
import { Navigation } from "./Navigation";
import { PageLoading } from "./PageLoading";
import classes from "./Frame.module.css";

/** Leaves for the sign-in page when the session ends, keeping the place to come back to. */
function useSignInAgain() {
  const navigate = useNavigate();
  const whoami = useSession();
  const leave = useCallback(() => {
    if (location.pathname === "/sign-in") return;
    const to = location.pathname + location.search;
    queryClient.setQueryData(keys.session, null);
    void navigate({ to: "/sign-in", search: { to, expired: "yes" }, replace: true });
  }, [navigate]);
  useEffect(() => onSessionEnded(leave), [leave]);
  useEffect(() => {
    // Who signs out leaves nothing behind; null is the server's word.
    if (queryClient.getQueryData(keys.session) === null) leave();
  }, [whoami, leave]);
}

export function Frame() {
  const [opened, menu] = useDisclosure();
  const path = useLocation({ select: (place) => place.pathname });
  const main = useRef<HTMLElement>(null);
  const whoami = useSession();
  useSignInAgain();
  useEffect(() => follow(queryClient), []);
  useEffect(() => {
    menu.close();
  }, [path]);
  return (
    <div className={classes.frame}>
      <a className={classes.skip} href="#main" onClick={() => main.current?.focus()}>
        To the content
      </a>
      <div className={classes.top} role="region" aria-label="Menu bar">
        <Burger opened={opened} onClick={menu.toggle} size="sm" aria-label="Navigation" />
        <Mark />
      </div>
      <aside className={classes.side}>{whoami ? <Navigation /> : <Skeleton height={200} m="md" />}</aside>
      <Drawer opened={opened} onClose={menu.close} size={280} title={<Mark />} padding={0} zIndex={250}>
        <Navigation />
      </Drawer>
      <main id="main" className={classes.main} ref={main} tabIndex={-1}>
        <Suspense fallback={<PageLoading />}>
          <Outlet />
        </Suspense>
      </main>
    </div>
  );
}
