/** The routes. The code of a page is loaded when the page is first opened. */
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  parseSearchWith,
  redirect,
  type RouteComponent,
} from "@tanstack/react-router";
import { queryClient, sessionQuery } from "./api/queries";
import { AppLayout } from "./layouts/AppLayout";
import { NotFound, BareNotFound } from "./layouts/NotFound";
import { PageError } from "./layouts/PageError";
import { PageLoading } from "./components/PageLoading";
import { RootLayout } from "./layouts/RootLayout";

/** The search parameters of every page, as strings. */
export type Search = { [name: string]: string | undefined };

const validateSearch = (search: Record<string, unknown>): Search =>
  Object.fromEntries(
    Object.entries(search).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
  );

const root = createRootRoute({ component: RootLayout, notFoundComponent: BareNotFound, validateSearch });

type Load = () => Promise<{ default: RouteComponent }>;

const authPage = (path: "/sign-in" | "/link", load: Load) =>
  createRoute({ getParentRoute: () => root, path, component: lazyRouteComponent(load) });

const app = createRoute({
  getParentRoute: () => root,
  id: "app",
  component: AppLayout,
  beforeLoad: async ({ location }) => {
    const session = queryClient.getQueryData(sessionQuery.queryKey) ?? (await queryClient.fetchQuery(sessionQuery));
    if (!session) throw redirect({ to: "/sign-in", search: location.href === "/" ? {} : { to: location.href } });
  },
});

function page<const Path extends string>(path: Path, load: Load) {
  return createRoute({ getParentRoute: () => app, path, component: lazyRouteComponent(load) });
}

const start = createRoute({
  getParentRoute: () => app,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/clusters" });
  },
});

const clusterStart = createRoute({
  getParentRoute: () => app,
  path: "/clusters/$clusterId",
  beforeLoad: ({ params }) => {
    throw redirect({ to: "/clusters/$clusterId/overview", params });
  },
});

const tree = root.addChildren([
  authPage("/sign-in", () => import("./pages/sign-in")),
  authPage("/link", () => import("./pages/link")),
  app.addChildren([
    start,
    page("/clusters", () => import("./pages/clusters")),
    page("/folders/$folderId", () => import("./pages/clusters")),
    page("/clusters/new", () => import("./pages/create-cluster")),
    clusterStart,
    page("/clusters/$clusterId/overview", () => import("./pages/overview")),
    page("/clusters/$clusterId/users", () => import("./pages/sql-users")),
    page("/clusters/$clusterId/databases", () => import("./pages/databases")),
    page("/clusters/$clusterId/sql", () => import("./pages/sql-shell")),
    page("/clusters/$clusterId/networking", () => import("./pages/networking")),
    page("/clusters/$clusterId/backups", () => import("./pages/backups")),
    page("/clusters/$clusterId/maintenance", () => import("./pages/maintenance")),
    page("/clusters/$clusterId/metrics", () => import("./pages/metrics")),
    page("/access", () => import("./pages/access")),
    page("/access/$tab", () => import("./pages/access")),
    page("/access/service-accounts/$id", () => import("./pages/service-account")),
    page("/folders", () => import("./pages/folders")),
    page("/organization", () => import("./pages/organization")),
    page("/audit", () => import("./pages/audit")),
    page("/explorer", () => import("./pages/explorer")),
  ]),
]);

export const router = createRouter({
  routeTree: tree,
  defaultPreload: "intent",
  scrollRestoration: true,
  defaultNotFoundComponent: NotFound,
  defaultErrorComponent: PageError,
  defaultPendingComponent: PageLoading,
  defaultPendingMs: 200,
  parseSearch: parseSearchWith((text) => text),
  stringifySearch: (search) => {
    const entries = Object.entries(search).filter(([, value]) => value !== undefined && value !== "");
    const text = new URLSearchParams(entries.map(([name, value]) => [name, String(value)])).toString();
    return text ? `?${text}` : "";
  },
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
