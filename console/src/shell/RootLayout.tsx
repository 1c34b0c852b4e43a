import { Outlet } from "@tanstack/react-router";
import { ReachBanner } from "./ReachBanner";

/** Around everything, signed in or not. */
export function RootLayout() {
  return (
    <>
      <ReachBanner />
      <Outlet />
    </>
  );
}
