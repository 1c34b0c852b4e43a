/** The entry point of the console. */
import "./mantine.css";
import "@mantine/notifications/styles.css";
import "./global.css";
import { MantineProvider, getDefaultZIndex } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { setNonce } from "get-nonce";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { queryClient } from "./api/queries";
import { router } from "./routes";
import { ErrorBoundary } from "./layouts/ErrorBoundary";
import { theme, variables } from "./theme";

// Otherwise, a notification covers the menu of a row at the bottom of the page.
const BELOW_MENUS = getDefaultZIndex("popover") - 1;

const nonce = document.querySelector<HTMLMetaElement>("meta[name=csp-nonce]")?.content ?? "";
setNonce(nonce);

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <MantineProvider
        theme={theme}
        cssVariablesResolver={variables}
        defaultColorScheme="auto"
        getStyleNonce={() => nonce}
      >
        <ErrorBoundary>
          <QueryClientProvider client={queryClient}>
            <Notifications position="bottom-right" limit={4} zIndex={BELOW_MENUS} />
            <RouterProvider router={router} />
          </QueryClientProvider>
        </ErrorBoundary>
      </MantineProvider>
    </StrictMode>,
  );
}
