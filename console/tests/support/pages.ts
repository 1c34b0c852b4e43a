/**
 * What holds for every page: no finding of axe in light and dark mode, no sideways scrolling at 360 px, and no missing
 * styles. The fixtures add that no page violates the content security policy or requests another host.
 *
 * The pages of a spec file are loaded into one tab, one after the other: a new browser context would load and compile
 * the code of the console again for each of them.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { expect, report, settled, test as base, watch, type Watched } from "./fixtures";

const WIDE = { width: 1280, height: 800 };
const NARROW = { width: 360, height: 720 };

interface Tab extends Watched {
  page: Page;
}

export const test = base.extend<{ tab: Page }, { sharedTab: Tab }>({
  sharedTab: [
    async ({ browser, server, adminCookie }, use) => {
      const context = await browser.newContext({ baseURL: server.url, viewport: WIDE, reducedMotion: "reduce" });
      await context.addCookies([{ ...adminCookie, httpOnly: true, sameSite: "Strict" }]);
      const watched = watch(context, server.url, null);
      await use({ ...watched, page: await context.newPage() });
      await context.close();
    },
    { scope: "worker" },
  ],
  /** A tab that is signed in, and that the tests of a file share. */
  tab: async ({ sharedTab }, use, testInfo) => {
    await use(sharedTab.page);
    report(sharedTab, testInfo);
  },
});

/** A page to check. */
export interface Case {
  name: string;
  path: string;
  /** What to do before the page is checked, for example open a dialog. */
  prepare?: (page: Page) => Promise<void>;
}

/** Opens a page and checks it. */
export async function checkPage(page: Page, { path, prepare }: Omit<Case, "name">) {
  await page.setViewportSize(WIDE);
  await page.emulateMedia({ colorScheme: "light" });
  await page.goto(path);
  await settled(page);
  if (prepare) {
    await prepare(page);
    await settled(page);
  }
  const findings = [...(await missingStyles(page)), ...(await axeFindings(page, "light"))];
  await page.emulateMedia({ colorScheme: "dark" });
  await page.locator('html[data-mantine-color-scheme="dark"]').waitFor();
  await settled(page);
  findings.push(...(await axeFindings(page, "dark", COLOR_RULES)));
  await page.setViewportSize(NARROW);
  await settled(page);
  findings.push(...(await overflow(page)));
  expect(findings.join("\n")).toBe("");
}

/** The rules that depend on colors. In dark mode, only the colors differ, so the others would find the same again. */
const COLOR_RULES = ["color-contrast", "link-in-text-block"];

/** The findings of all rules of axe, or of some of them. */
async function axeFindings(page: Page, mode: string, rules?: string[]): Promise<string[]> {
  // There are no frames. So axe can run within the page, instead of combining the results of frames in a second page.
  const axe = new AxeBuilder({ page }).options({ resultTypes: ["violations"] }).setLegacyMode();
  const { violations } = await (rules ? axe.withRules(rules) : axe).analyze();
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
