// What holds for every page: no finding of axe in light and dark mode, no sideways scrolling at 375 px, and no missing
// styles. The fixtures add that no page violates the content security policy or requests another host.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { expect, settled, test as base } from "./support/fixtures";

interface Paths {
  /** The path of a cluster that has what its pages show. */
  cluster: string;
}

const test = base.extend<object, { paths: Paths }>({
  paths: [
    async ({ server }, use) => {
      const { id } = await server.createCluster("looked-at");
      const objects = `/api/v1/clusters/${id}`;
      await server.call("POST", `${objects}/sql-users`, { name: "keeper", password: "correct horse battery" });
      await server.call("POST", `${objects}/databases`, { name: "shop" });
      await server.call("POST", "/api/v1/folders", { name: "teams", parent_id: "" });
      await server.call("POST", "/api/v1/service-accounts", { name: "robot", description: "deploys", roles: [] });
      await server.invite("bob@example.com", ["CLUSTER_DEVELOPER"]);
      await use({ cluster: `/clusters/${id}` });
    },
    { scope: "worker" },
  ],
});

async function axeFindings(page: Page, mode: string): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations.map(({ id, help, nodes }) => {
    const elements = nodes.slice(0, 4).map(({ html, failureSummary }) => `    ${html}\n    ${failureSummary}`);
    return `${mode}: ${id}: ${help}\n${elements.join("\n")}`;
  });
}

const MANTINE_CLASS = /(?<=\.)m_[0-9a-f]+/g;
const mantineStyles = createRequire(import.meta.url).resolve("@mantine/core/styles.css");
const styledClasses = new Set(readFileSync(mantineStyles, "utf8").match(MANTINE_CLASS));

/** src/mantine.css imports only the styles in use. Finds components of Mantine whose styles are missing. */
async function missingStyles(page: Page): Promise<string[]> {
  const [used, rules] = await page.evaluate(() => {
    const classes = [...document.querySelectorAll('[class*="m_"]')].flatMap((element) => [...element.classList]);
    const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules].map((rule) => rule.cssText));
    return [classes, rules.join()];
  });
  const loaded = new Set(rules.match(MANTINE_CLASS));
  const missing = [...new Set(used)].filter((name) => styledClasses.has(name) && !loaded.has(name));
  return missing.map((name) => `src/mantine.css lacks the styles of .${name}`);
}

async function overflow(page: Page): Promise<string[]> {
  const [width, available] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth] as const);
  return width > available ? [`at ${available} px the page is ${width} px wide`] : [];
}

interface Case {
  name: string;
  path: string;
  signedOut?: boolean;
  prepare?: (page: Page) => Promise<void>;
}

const CASES: Case[] = [
  { name: "sign-in", path: "/sign-in", signedOut: true },
  { name: "link", path: "/link#token", signedOut: true },
  { name: "incomplete link", path: "/link", signedOut: true },
  { name: "clusters", path: "/clusters" },
  { name: "create cluster", path: "/clusters/new" },
  { name: "overview", path: "CLUSTER/overview" },
  {
    name: "connect",
    path: "CLUSTER/overview",
    prepare: async (page) => {
      await page.getByRole("main").getByRole("button", { name: "Connect" }).first().click();
      await page.getByRole("dialog").getByText("Download the CA certificate").waitFor();
    },
  },
  {
    name: "edit limits",
    path: "CLUSTER/overview",
    prepare: async (page) => {
      await page.getByRole("button", { name: "Edit capacity" }).click();
      await page.getByRole("dialog").getByRole("switch", { name: "Limit request units" }).click();
    },
  },
  { name: "SQL users", path: "CLUSTER/users" },
  { name: "databases", path: "CLUSTER/databases" },
  { name: "SQL shell", path: "CLUSTER/sql" },
  { name: "networking", path: "CLUSTER/networking" },
  { name: "metrics", path: "CLUSTER/metrics" },
  { name: "access", path: "/access" },
  { name: "service accounts", path: "/access/service-accounts" },
  { name: "groups", path: "/access/groups" },
  { name: "folders", path: "/folders" },
  { name: "organization", path: "/organization" },
  { name: "audit log", path: "/audit" },
  { name: "API explorer", path: "/explorer" },
  { name: "not found", path: "/nowhere/at/all" },
];

for (const { name, path, signedOut = false, prepare } of CASES) {
  test.describe(name, () => {
    test.use({ signedIn: !signedOut });

    test("is accessible and fits a narrow screen", async ({ page, paths }) => {
      await page.goto(path.replace("CLUSTER", paths.cluster));
      await settled(page);
      await prepare?.(page);
      await settled(page);
      const findings = [...(await missingStyles(page)), ...(await axeFindings(page, "light"))];
      await page.emulateMedia({ colorScheme: "dark" });
      await page.locator('html[data-mantine-color-scheme="dark"]').waitFor();
      await settled(page);
      findings.push(...(await axeFindings(page, "dark")));
      await page.setViewportSize({ width: 375, height: 720 });
      await settled(page);
      findings.push(...(await overflow(page)));
      expect(findings.join("\n")).toBe("");
    });
  });
}

test("the first load is small", async ({ page, context, paths }) => {
  expect(paths.cluster).toBeTruthy();
  const session = await context.newCDPSession(page);
  await session.send("Network.enable");
  const names = new Map<string, string>();
  const loaded: { name: string; bytes: number }[] = [];
  session.on("Network.responseReceived", ({ requestId, response }) => {
    names.set(requestId, new URL(response.url).pathname);
  });
  session.on("Network.loadingFinished", ({ requestId, encodedDataLength: bytes }) => {
    loaded.push({ name: names.get(requestId) ?? "", bytes });
  });
  await page.goto("/");
  await settled(page);
  await page.getByRole("link", { name: "looked-at" }).first().waitFor();
  const total = loaded.reduce((sum, { bytes }) => sum + bytes, 0);
  const largest = loaded.sort((one, other) => other.bytes - one.bytes).map(({ name, bytes }) => `${bytes} ${name}`);
  expect(total, largest.join("\n")).toBeGreaterThan(20_000);
  expect(total, largest.join("\n")).toBeLessThan(300_000);
});

test.describe("content security policy", () => {
  test.use({ expectedErrors: /Content Security Policy/ });

  test("inline scripts don't run", async ({ page }) => {
    await page.goto("/");
    await settled(page);
    const violated = await page.evaluate(
      () =>
        new Promise<string>((resolve) => {
          addEventListener("securitypolicyviolation", ({ violatedDirective }) => resolve(violatedDirective));
          const script = document.createElement("script");
          script.textContent = 'document.title = "run"';
          document.head.append(script);
          setTimeout(() => resolve("nothing"), 5000);
        }),
    );
    expect(violated).toMatch(/^script-src/);
  });
});
