/** Every page has a path, and loads its code when it is first shown. */
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
import { Frame } from "./shell/Frame";
import { NotFound, Nowhere } from "./shell/NotFound";
import { PageError } from "./shell/PageError";
import { PageLoading } from "./shell/PageLoading";
import { RootLayout } from "./shell/RootLayout";

/** What stands after `?` is plain text to every page. */
export type Search = { [name: string]: string | undefined };

const validateSearch = (search: Record<string, unknown>): Search =>
  Object.fromEntries(
    Object.entries(search).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
  );

const root = createRootRoute({ component: RootLayout, notFoundComponent: Nowhere, validateSearch });

type Load = () => Promise<{ default: RouteComponent }>;

const bare = (path: "/sign-in" | "/link", load: Load) =>
  createRoute({ getParentRoute: () => root, path, component: lazyRouteComponent(load) });

const frame = createRoute({
  getParentRoute: () => root,
  id: "frame",
  component: Frame,
  beforeLoad: async ({ location }) => {
    const known = queryClient.getQueryData(sessionQuery.queryKey) ?? (await queryClient.fetchQuery(sessionQuery));
    if (!known) throw redirect({ to: "/sign-in", search: location.href === "/" ? {} : { to: location.href } });
  },
});

function page<const Path extends string>(path: Path, load: Load) {
  return createRoute({ getParentRoute: () => frame, path, component: lazyRouteComponent(load) });
}

const start = createRoute({
  getParentRoute: () => frame,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/clusters" });
  },
});

const clusterStart = createRoute({
  getParentRoute: () => frame,
  path: "/clusters/$clusterId",
  beforeLoad: ({ params }) => {
    throw redirect({ to: "/clusters/$clusterId/overview", params });
  },
});

const tree = root.addChildren([
  bare("/sign-in", () => import("./pages/sign-in")),
  bare("/link", () => import("./pages/link")),
  frame.addChildren([
    start,
    page("/clusters", () => import("./pages/clusters")),
    page("/folders/$folderId", () => import("./pages/clusters")),
    page("/clusters/new", () => import("./pages/create-cluster")),
    clusterStart,
    page("/clusters/$clusterId/overview", () => import("./pages/overview")),
    page("/clusters/$clusterId/users", () => import("./pages/users")),
    page("/clusters/$clusterId/databases", () => import("./pages/databases")),
    page("/clusters/$clusterId/sql", () => import("./pages/sql")),
    page("/clusters/$clusterId/networking", () => import("./pages/networking")),
    page("/clusters/$clusterId/metrics", () => import("./pages/metrics")),
    page("/access", () => import("./pages/access")),
    page("/access/$tab", () => import("./pages/access")),
    page("/access/service-accounts/$id", () => import("./pages/access/service-account")),
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
