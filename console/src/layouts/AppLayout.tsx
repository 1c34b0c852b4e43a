/** The layout of every page after signing in: the navigation of the organization or of a cluster, and the page. */
import { Burger, Drawer, Skeleton } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { Outlet, useLocation } from "@tanstack/react-router";
import { Suspense, useCallback, useEffect, useRef } from "react";
import { onSessionEnded } from "../api/client";
import { followEvents } from "../api/events";
import { keys, queryClient, SIGN_OUT, useSession } from "../api/queries";
import { openSignIn } from "../features/account/openSignIn";
import { Logo } from "./Logo";
import { Navigation } from "./Navigation";
import { PageLoading } from "../components/PageLoading";
import classes from "./AppLayout.module.css";

/** Opens the sign-in page when the session ends, and returns to the current page afterwards. */
function useSignInOnExpiry() {
  const session = useSession();
  const leave = useCallback(() => {
    if (queryClient.isMutating({ mutationKey: SIGN_OUT }) > 0) return;
    openSignIn({ to: location.pathname + location.search, expired: "yes" });
  }, []);
  useEffect(() => onSessionEnded(leave), [leave]);
  useEffect(() => {
    // Null means that the server has rejected the session.
    if (queryClient.getQueryData(keys.session) === null) leave();
  }, [session, leave]);
}

export function AppLayout() {
  const [opened, { toggle, close }] = useDisclosure();
  const path = useLocation({ select: (location) => location.pathname });
  const main = useRef<HTMLElement>(null);
  const session = useSession();
  useSignInOnExpiry();
  useEffect(() => followEvents(queryClient), []);
  useEffect(() => {
    close();
  }, [path, close]);
  return (
    <div className={classes.layout}>
      <a className={classes.skip} href="#main" onClick={() => main.current?.focus()}>
        Skip to content
      </a>
      <div className={classes.top} role="region" aria-label="Menu bar">
        <Burger opened={opened} onClick={toggle} size="sm" aria-label="Navigation" />
        <Logo />
      </div>
      <aside className={classes.side}>{session ? <Navigation /> : <Skeleton height={200} m="md" />}</aside>
      <Drawer opened={opened} onClose={close} size={280} title={<Logo />} padding={0} zIndex={250}>
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
