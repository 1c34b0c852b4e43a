// Pictures of the main pages, light, dark and at 375 px, of a server with something in it: `./dev screenshots`.
// Usage: node screenshots.mjs PROGRAM FOLDER [PAGE…]
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { furnish } from "./demo.mjs";
import { openBrowser } from "./harness.mjs";

const [program, folder, ...only] = process.argv.slice(2);
const email = "ada@example.com";
const password = "correct horse battery";

/** A server in a folder of its own. Its clock is moved on, so that an hour of charts takes a minute. */
async function boot() {
  const home = mkdtempSync(join(tmpdir(), "oo-"));
  chmodSync(home, 0o711);
  const data = join(home, "data");
  const args = ["serve", "--data-dir", data, "--listen", "127.0.0.1:0", "--sql-listen", "127.0.0.1:0", "--test-clock"];
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("OOTHECA_")));
  env.OOTHECA_RATE_LIMIT__MODE = "never";
  const child = spawn(program, args, { env, stdio: ["ignore", "ignore", "pipe"] });
  const base = await new Promise((resolve, reject) => {
    let said = "";
    child.stderr.on("data", (text) => {
      said += text;
      const found = /Cloud API\s+(http:\S+)\n/.exec(said);
      if (found) resolve(found[1]);
    });
    child.on("exit", () => reject(new Error(`the server ended: ${said}`)));
  });
  const stop = async () => {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await ended;
    rmSync(home, { recursive: true, force: true });
  };
  const key = readFileSync(join(data, "admin-api-key"), "utf8").trim();
  return { base, key, certificate: join(data, "certificates/ca.pem"), stop };
}

async function settled(page) {
  await page.locator("h1").first().waitFor({ state: "attached" });
  await page.waitForFunction(
    () =>
      !document.querySelector(".mantine-Skeleton-root[data-visible], .mantine-Loader-root") &&
      document.getAnimations().every((animation) => animation.playState !== "running"),
  );
  // Charts are drawn in the frame after their numbers came.
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
}

const shell = async (page) => {
  await page.getByRole("textbox", { name: "SQL statement" }).click();
  await page.keyboard.press("Control+A");
  await page.keyboard.insertText("SELECT id, customer, total, placed_at\nFROM orders\nORDER BY total DESC\nLIMIT 50");
  await page.keyboard.press("Control+Enter");
  await page.getByRole("region", { name: "Answer" }).getByText(/rows/).first().waitFor();
};

/** Name, path, and what is done there first. */
const pages = ({ id, account, folder }) => [
  ["sign-in", "/sign-in", { nobody: true }],
  ["clusters", "/clusters"],
  ["folder", `/folders/${folder}`],
  ["create-cluster", "/clusters/new"],
  ["overview", `/clusters/${id}/overview`],
  [
    "connect",
    `/clusters/${id}/overview`,
    {
      first: async (page) => {
        await page.getByRole("main").getByRole("button", { name: "Connect" }).first().click();
        await page.getByRole("dialog").getByText("Get the certificate").waitFor();
      },
    },
  ],
  ["sql-shell", `/clusters/${id}/sql?db=shop`, { first: shell }],
  ["databases", `/clusters/${id}/databases`],
  ["sql-users", `/clusters/${id}/users`],
  ["networking", `/clusters/${id}/networking`],
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
      first: async (page) => {
        await page.getByRole("table", { name: "Audit log" }).getByRole("row").nth(2).click();
        await page.getByRole("dialog").getByText("Payload").first().waitFor();
      },
    },
  ],
  [
    "explorer",
    "/explorer?operation=ListClusters",
    {
      first: async (page) => {
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

async function take(browser, server, made, cookies) {
  for (const [look, options] of Object.entries(LOOKS)) {
    const context = await browser.newContext({
      ...options,
      baseURL: server.base,
      reducedMotion: "reduce",
      deviceScaleFactor: look.startsWith("narrow") ? 2 : 1,
    });
    await context.clock.setFixedTime(made.now);
    for (const [name, path, { nobody, first } = {}] of pages(made)) {
      if (only.length && !only.includes(name)) continue;
      await context.clearCookies();
      if (!nobody) await context.addCookies(cookies);
      const page = await context.newPage();
      try {
        await page.goto(path);
        await settled(page);
        await first?.(page);
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
  const server = await boot();
  try {
    const made = await furnish(server, { email, password });
    const answer = await fetch(`${server.base}/api/ootheca/v1/session`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ email, password }),
    });
    const [name, value] = answer.headers.get("set-cookie").split(";")[0].split("=");
    const browser = await openBrowser();
    await take(browser, server, made, [{ name, value, url: server.base, httpOnly: true, sameSite: "Strict" }]);
    await browser.close();
    await made.end();
  } finally {
    await server.stop();
  }
  console.log(`pictures are in ${folder}`);
}

await main();
