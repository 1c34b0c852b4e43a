// Takes screenshots of the main pages of a server with sample data: light, dark, and at 375 px.
// Usage: node screenshots.mjs PROGRAM FOLDER [PAGE…]
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "@playwright/test";
import { createSampleData } from "./demo.mjs";
import { launchOptions, settled as loaded } from "./support/browser.mjs";

const [program, folder, ...only] = process.argv.slice(2);
process.env.OOTHECA_PROGRAM ??= program;
const { PASSWORD, Server } = await import("./support/server.mjs");
const email = "ada@example.com";

async function settled(page) {
  await loaded(page);
  // Charts are drawn in the frame after their data has arrived.
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
}

const shell = async (page) => {
  await page.getByRole("textbox", { name: "SQL statement" }).click();
  await page.keyboard.press("Control+A");
  await page.keyboard.insertText("SELECT id, customer, total, placed_at\nFROM orders\nORDER BY total DESC\nLIMIT 50");
  await page.keyboard.press("Control+Enter");
  await page.getByRole("region", { name: "Result" }).getByText(/rows/).first().waitFor();
};

/** The name and the path of each page, and what to do before the screenshot. */
const pages = ({ id, advanced, account, folder }) => [
  ["sign-in", "/sign-in", { signedOut: true }],
  ["clusters", "/clusters"],
  ["folder", `/folders/${folder}`],
  ["create-cluster", "/clusters/new"],
  ["overview", `/clusters/${id}/overview`],
  [
    "connect",
    `/clusters/${id}/overview`,
    {
      prepare: async (page) => {
        await page.getByRole("main").getByRole("button", { name: "Connect" }).first().click();
        await page.getByRole("dialog").getByText("Download the CA certificate").waitFor();
      },
    },
  ],
  ["sql-shell", `/clusters/${id}/sql?db=shop`, { prepare: shell }],
  ["databases", `/clusters/${id}/databases`],
  ["sql-users", `/clusters/${id}/users`],
  ["networking", `/clusters/${id}/networking`],
  ["backups", `/clusters/${id}/backups`],
  ["maintenance", `/clusters/${advanced}/maintenance`],
  ["metrics", `/clusters/${id}/metrics`],
  ["access", "/access"],
  ["service-accounts", "/access/service-accounts"],
  ["service-account", `/access/service-accounts/${account}`],
  ["folders", "/folders"],
  ["organization", "/organization"],
  ["audit", "/audit"],
  [
    "audit-entry",
    "/audit",
    {
      prepare: async (page) => {
        await page.getByRole("table", { name: "Audit log" }).getByRole("row").nth(2).click();
        await page.getByRole("dialog").getByText("Payload").first().waitFor();
      },
    },
  ],
  [
    "explorer",
    "/explorer?operation=ListClusters",
    {
      prepare: async (page) => {
        await page.getByRole("button", { name: "Send", exact: true }).click();
        await page.getByRole("region", { name: "Response" }).getByText("200").first().waitFor();
      },
    },
  ],
];

const LOOKS = {
  light: { colorScheme: "light", viewport: { width: 1280, height: 820 } },
  dark: { colorScheme: "dark", viewport: { width: 1280, height: 820 } },
  narrow: { colorScheme: "light", viewport: { width: 375, height: 760 } },
  "narrow-dark": { colorScheme: "dark", viewport: { width: 375, height: 760 } },
};

async function take(browser, server, data, cookies) {
  for (const [look, options] of Object.entries(LOOKS)) {
    const context = await browser.newContext({
      ...options,
      baseURL: server.url,
      reducedMotion: "reduce",
      deviceScaleFactor: look.startsWith("narrow") ? 2 : 1,
    });
    await context.clock.setFixedTime(data.now);
    for (const [name, path, { signedOut, prepare } = {}] of pages(data)) {
      if (only.length && !only.includes(name)) continue;
      await context.clearCookies();
      if (!signedOut) await context.addCookies(cookies);
      const page = await context.newPage();
      try {
        await page.goto(path);
        await settled(page);
        await prepare?.(page);
        await settled(page);
      } catch (error) {
        console.log(`${name}, ${look}: ${error.message.split("\n")[0]}`);
        process.exitCode = 1;
      }
      await page.screenshot({ path: join(folder, `${name}-${look}.png`) });
      await page.close();
    }
    await context.close();
  }
}

async function main() {
  mkdirSync(folder, { recursive: true });
  // The clock is advanced, so that an hour of metrics takes about a minute.
  const server = await Server.start({ engine: "postgres", backups: true });
  try {
    const data = await createSampleData(server, { email, password: PASSWORD });
    const cookie = await server.signIn({ email, password: PASSWORD });
    const browser = await chromium.launch(launchOptions);
    await take(browser, server, data, [{ ...cookie, httpOnly: true, sameSite: "Strict" }]);
    await browser.close();
    await data.end();
  } finally {
    await server.remove();
  }
  console.log(`screenshots are in ${folder}`);
}

await main();
