import { Outlet } from "@tanstack/react-router";
import { ConnectionBanner } from "./ConnectionBanner";

/** The layout of every page. */
export function RootLayout() {
  return (
    <>
      <ConnectionBanner />
      <Outlet />
    </>
  );
}
