/**
 * The fixtures of the browser tests. Each spec file has its own server; each test has a browser context of its own and
 * creates what it needs. A test fails if the page logs an error, throws an exception, or requests another host.
 */
import { test as base, type BrowserContext, type Page, type Request } from "@playwright/test";
import { Api, Server } from "./server.mjs";

export { expect } from "@playwright/test";
export { eventually, PASSWORD } from "./server.mjs";
export { settled } from "./browser.mjs";

export const ADMIN = "ada@example.com";
export const ADMIN_ROLES = ["ORG_ADMIN", "CLUSTER_ADMIN", "FOLDER_ADMIN"];

type Cookie = Awaited<ReturnType<Api["createUser"]>>;

interface WorkerFixtures {
  /** `simulated`, or `postgres` for real SQL servers. */
  engine: string;
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
  server: [
    async ({ engine }, use) => {
      const server = await Server.start({ engine });
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
    const violations = watch(context, server.url, expectedErrors);
    const traffic = record(context);
    await use(context);
    if (testInfo.status !== testInfo.expectedStatus) console.log(traffic.slice(-40).join("\n"));
    if (violations.length > 0) throw new Error(`the page must not do this:\n  ${violations.join("\n  ")}`);
  },
});

/** Records navigations and the requests to the API, which are printed if the test fails. */
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
function watch(context: BrowserContext, url: string, expectedErrors: RegExp | null): string[] {
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

/** Fills and submits the sign-in form. */
export async function signIn(page: Page, email: string, password: string) {
  await page.getByRole("textbox", { name: "Email address" }).fill(email);
  await page.getByRole("textbox", { name: "Password" }).fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}
