/**
 * The fixtures of the browser tests. Each spec file has its own server; each test has a browser context of its own and
 * creates what it needs. A test fails if the page logs an error, throws an exception, or requests another host.
 */
import { test as base, type BrowserContext, type Page, type Request, type TestInfo } from "@playwright/test";
import { Api, Server } from "./server.mjs";

export { expect } from "@playwright/test";
export { ADVANCED, eventually, PASSWORD, STANDARD } from "./server.mjs";
export { settled } from "./browser.mjs";

export const ADMIN = "ada@example.com";
export const ADMIN_ROLES = ["ORG_ADMIN", "CLUSTER_ADMIN", "FOLDER_ADMIN"];

type Cookie = Awaited<ReturnType<Api["createUser"]>>;

interface WorkerFixtures {
  /** `simulated`, or `postgres` for real SQL servers. */
  engine: string;
  /** Whether the server takes backups. It then has a test clock. */
  backups: boolean;
  server: Server;
  adminCookie: Cookie;
}

interface TestFixtures {
  /** Whether the browser is signed in as `ADMIN`. */
  signedIn: boolean;
  /** Errors that the browser may log, for example about a server that is down. */
  expectedErrors: RegExp | null;
}

export const test = base.extend<TestFixtures, WorkerFixtures>({
  engine: ["simulated", { scope: "worker", option: true }],
  backups: [false, { scope: "worker", option: true }],
  server: [
    async ({ engine, backups }, use) => {
      const server = await Server.start({ engine, backups });
      await use(server);
      await server.remove();
    },
    { scope: "worker", timeout: 120_000 },
  ],
  adminCookie: [
    async ({ server }, use) => {
      await use(await server.createUser(ADMIN, ADMIN_ROLES));
    },
    { scope: "worker" },
  ],
  signedIn: [true, { option: true }],
  expectedErrors: [null, { option: true }],
  baseURL: async ({ server }, use) => {
    await server.run();
    await use(server.url);
  },
  context: async ({ context, server, adminCookie, signedIn, expectedErrors }, use, testInfo) => {
    if (signedIn) await context.addCookies([{ ...adminCookie, httpOnly: true, sameSite: "Strict" }]);
    const watched = watch(context, server.url, expectedErrors);
    await use(context);
    report(watched, testInfo);
  },
});

/** What a browser context has done. */
export interface Watched {
  /** Navigations and the requests to the API, which are printed if the test fails. */
  traffic: string[];
  /** What no page may do. */
  violations: string[];
}

/** Watches a context from now on. Errors that match `expected` are allowed. */
export function watch(context: BrowserContext, url: string, expected: RegExp | null): Watched {
  return { traffic: record(context), violations: collectViolations(context, url, expected) };
}

/** Ends a test: it fails if a page did what no page may do. Forgets what was reported. */
export function report({ traffic, violations }: Watched, testInfo: TestInfo) {
  const recent = traffic.splice(0).slice(-40);
  const found = violations.splice(0);
  if (testInfo.status !== testInfo.expectedStatus) console.log(recent.join("\n"));
  if (found.length > 0) throw new Error(`the page must not do this:\n  ${found.join("\n  ")}`);
}

/** Records navigations and the requests to the API. */
function record(context: BrowserContext): string[] {
  const traffic: string[] = [];
  const add = (request: Request, outcome: string | number | undefined) => {
    const { pathname, search } = new URL(request.url());
    if (pathname.startsWith("/api")) traffic.push(`${request.method()} ${pathname}${search}: ${outcome}`);
  };
  context.on("page", (page) => page.on("framenavigated", (frame) => traffic.push(`navigated to ${frame.url()}`)));
  context.on("request", (request) => add(request, "sent"));
  context.on("response", (response) => add(response.request(), response.status()));
  context.on("requestfailed", (request) => add(request, request.failure()?.errorText));
  return traffic;
}

/** Collects what no page may do. */
function collectViolations(context: BrowserContext, url: string, expectedErrors: RegExp | null): string[] {
  const violations: string[] = [];
  const add = (text: string) => {
    if (!expectedErrors?.test(text)) violations.push(text);
  };
  context.on("console", (message) => {
    // Error responses of the API are expected; the tests check how the page handles them.
    const rejected = /^Failed to load resource: the server responded with a status of 4/.test(message.text());
    if (message.type() === "error" && !rejected) add(`console: ${message.text()} (${message.location().url})`);
  });
  context.on("weberror", (error) => add(`exception: ${error.error().stack}`));
  context.on("request", (request) => {
    const target = request.url();
    if (!target.startsWith(`${url}/`) && !/^(data|blob|about):/.test(target)) add(`other host: ${target}`);
  });
  return violations;
}

export const dialog = (page: Page, name?: string) => page.getByRole("dialog", name === undefined ? {} : { name });

export const row = (page: Page, table: string, text: string | RegExp) =>
  page.getByRole("table", { name: table }).getByRole("row").filter({ hasText: text });

/** Chooses an action of the menu of a row. */
export async function chooseAction(page: Page, name: string, action: string) {
  await page.getByRole("button", { name: `Actions for ${name}` }).click();
  await page.getByRole("menuitem", { name: action }).click();
}

/** Chooses an option of a field. */
export async function choose(page: Page, field: string, option: string) {
  await page.getByRole("combobox", { name: field }).click();
  await page.getByRole("option", { name: option, exact: true }).click();
}

/** Signs the browser in as a new user with `role`. */
export async function signInAs(context: BrowserContext, server: Server, role: string) {
  const cookie = await server.createUser(`${role.toLowerCase()}@example.com`, [role]);
  await context.clearCookies();
  await context.addCookies([{ ...cookie, httpOnly: true, sameSite: "Strict" }]);
}

/** Fills and submits the sign-in form. */
export async function signIn(page: Page, email: string, password: string) {
  await page.getByRole("textbox", { name: "Email address" }).fill(email);
  await page.getByRole("textbox", { name: "Password" }).fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}
