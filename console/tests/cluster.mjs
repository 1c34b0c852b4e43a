// One cluster with a real SQL server, from its creation to the programs that use it.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { call, check, cluster, run, until } from "./harness.mjs";

const execute = promisify(execFile);
const API = "/api/v1/clusters";
let id, secret;

const inside = (page) => `/clusters/${id}/${page}`;
const dialog = (page, name) => page.getByRole("dialog", { name });
const row = (page, table, text) => page.getByRole("table", { name: table }).getByRole("row").filter({ hasText: text });

async function menu(page, name, action) {
  await page.getByRole("button", { name: `Actions for ${name}` }).click();
  await page.getByRole("menuitem", { name: action }).click();
}

/** Runs what the page shows, as a person would in a shell of their own. */
async function shell(command, home, more = {}) {
  const env = { PATH: process.env.PATH, HOME: home, ...more };
  const { stdout } = await execute("sh", ["-eu", "-c", command], { env, timeout: 20_000 });
  return stdout;
}

async function type(page, statement) {
  await page.getByRole("textbox", { name: "SQL statement" }).click();
  await page.keyboard.press("Control+A");
  await page.keyboard.insertText(statement);
}

run(
  {
    "it is created, and becomes ready by itself": async ({ page }) => {
      await page.goto("/clusters");
      await page.getByRole("link", { name: "Create cluster" }).first().click();
      await page.waitForURL("**/clusters/new");
      const name = page.getByRole("textbox", { name: "Name" });
      check(await name.inputValue(), "no name is suggested");
      await name.fill("first-one");
      await page.getByRole("button", { name: "Create cluster" }).click();
      await page.waitForURL(/\/overview/);
      id = new URL(page.url()).pathname.split("/").at(-2);
      await page.getByRole("heading", { level: 1, name: "first-one" }).waitFor();
      await page.getByRole("main").getByText("Ready", { exact: true }).first().waitFor();
    },
    "what the connect dialog shows connects": async ({ page }) => {
      await page.goto(inside("overview"));
      await page.getByRole("main").getByRole("button", { name: "Connect" }).first().click();
      const connect = dialog(page, "Connect to first-one");
      await connect.getByRole("textbox", { name: "User name" }).fill("keeper");
      await connect.getByRole("button", { name: "Generate & save password" }).click();
      secret = (
        await connect
          .locator("code")
          .filter({ hasText: /^[A-Za-z0-9]{24}$/ })
          .innerText()
      ).trim();
      const shown = (label) => connect.getByRole("region", { name: label, exact: true }).innerText();
      const certificate = await shown("Command that downloads the certificate");
      const psql = await shown("psql code");
      const home = mkdtempSync(join(tmpdir(), "oo-home-"));
      try {
        await shell(certificate, home);
        const query = `-Atc "SELECT current_user || ' in ' || current_database()"`;
        const said = await shell(`${psql.trim()} ${query}`, home, { PGPASSWORD: secret });
        check(said.trim() === "keeper in defaultdb", `psql said ${said}`);
        for (const language of ["Go", "Node", "Python", "Java", "Rust"]) {
          await connect.getByRole("tab", { name: language }).click();
          const code = await shown(`${language} code`);
          check(code.length > 100 && !code.includes(secret), `the code for ${language}: ${code}`);
        }
      } finally {
        rmSync(home, { recursive: true });
      }
    },
    "SQL users are added, changed and deleted": async ({ page }) => {
      await page.goto(inside("users"));
      await page.getByRole("button", { name: "Add user" }).click();
      const add = dialog(page, "Add a SQL user");
      await add.getByRole("textbox", { name: "User name" }).fill("postgres");
      await add.getByRole("button", { name: "Generate & save password" }).click();
      await add.getByText("is reserved").waitFor();
      await add.getByRole("textbox", { name: "User name" }).fill("second");
      await add.getByRole("button", { name: "Generate & save password" }).click();
      const made = dialog(page, "SQL user created");
      await made.getByText("second can log in now").waitFor();
      await made.getByRole("button", { name: "Done" }).click();
      await row(page, "SQL users", "second").waitFor();
      await menu(page, "second", "Change password");
      const change = dialog(page, "Change the password of second");
      await change.getByRole("radio", { name: "Choose one" }).check();
      await change.getByRole("textbox", { name: "New password" }).fill("correct horse battery");
      await change.getByRole("button", { name: "Save password" }).click();
      await dialog(page, "Password changed").getByRole("button", { name: "Done" }).click();
      await menu(page, "second", "Delete user");
      await dialog(page, "Delete SQL user second?").getByRole("button", { name: "Delete user" }).click();
      await row(page, "SQL users", "second").waitFor({ state: "detached" });
    },
    "databases are created, renamed and deleted": async ({ page }) => {
      await page.goto(inside("databases"));
      await row(page, "Databases", "defaultdb").waitFor();
      await page.getByRole("button", { name: "Create database" }).first().click();
      const create = dialog(page, "Create a database");
      await create.getByRole("textbox", { name: "Database name" }).fill("shop");
      await create.getByRole("button", { name: "Create database" }).click();
      await row(page, "Databases", "shop").waitFor();
      await menu(page, "shop", "Rename");
      const rename = dialog(page, "Rename shop");
      await rename.getByRole("textbox", { name: "New name" }).fill("market");
      await rename.getByRole("button", { name: "Rename" }).click();
      await row(page, "Databases", "market").waitFor();
      await menu(page, "market", "Delete");
      const remove = dialog(page, "Delete database market?");
      check(await remove.getByRole("button", { name: "Delete database" }).isDisabled(), "it deletes unasked");
      await remove.getByRole("textbox").fill("market");
      await remove.getByRole("button", { name: "Delete database" }).click();
      await row(page, "Databases", "market").waitFor({ state: "detached" });
    },
    "networks are added and removed, and the own address is known": async ({ page }) => {
      await page.goto(inside("networking"));
      await page.getByText("Open to every address").waitFor();
      await page.getByRole("button", { name: "Add network" }).first().click();
      const add = dialog(page, "Add a network");
      await add.getByText("My address", { exact: true }).click();
      check((await add.getByRole("textbox", { name: "Network" }).inputValue()) === "127.0.0.1/32", "another address");
      await add.getByRole("textbox", { name: "Name" }).fill("this machine");
      await add.getByRole("button", { name: "Add network" }).click();
      await row(page, "Allowlist", "this machine").getByText("your address").waitFor();
      await menu(page, "0.0.0.0/0", "Delete network");
      await dialog(page, "Take 0.0.0.0/0 off the allowlist?").getByRole("button", { name: "Delete network" }).click();
      await page.getByText("Open to every address").waitFor({ state: "detached" });
      const { allowlist } = await call("GET", `${API}/${id}/networking/allowlist`);
      check(allowlist.length === 1 && allowlist[0].cidr_ip === "127.0.0.1", JSON.stringify(allowlist));
    },
    "the SQL shell reads, writes only when told to, and exports": async ({ page }) => {
      await page.goto(inside("sql"));
      await type(page, "SELECT n, n * n AS square FROM generate_series(1, 500) AS n");
      await page.keyboard.press("Control+Enter");
      const answer = page.getByRole("region", { name: "Answer" });
      await answer.getByText("500 rows").waitFor();
      await answer.getByRole("cell", { name: "1", exact: true }).first().waitFor();
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        answer.getByRole("button", { name: "Export CSV" }).click(),
      ]);
      const lines = readFileSync(await download.path(), "utf8")
        .trim()
        .split(/\r?\n/);
      check(lines[0] === "n,square" && lines[500] === "500,250000", `the file: ${lines.slice(0, 3)} … ${lines.at(-1)}`);
      await type(page, "CREATE TABLE orders (id int)");
      await page.getByRole("button", { name: "Run" }).click();
      await answer.getByText("Error 25006").waitFor();
      await page.getByRole("switch", { name: "Allow changes" }).click();
      await page.getByRole("button", { name: "Run" }).click();
      await answer.getByRole("status").waitFor();
      await type(page, "SELECT nothing FROM orders");
      await page.getByRole("button", { name: "Run" }).click();
      await answer.getByText("Error 42703").waitFor();
      await type(page, "SELECT * FROM orders");
      await page.getByRole("button", { name: "Explain" }).click();
      await answer.getByRole("region", { name: "Query plan" }).getByText("orders").waitFor();
    },
    "a statement can be shared by its address": async ({ page }) => {
      await page.goto(inside("sql"));
      await type(page, "SELECT 42 AS answer");
      await until("the address holds the statement", () => new URL(page.url()).searchParams.get("q")?.includes("42"));
      await page.reload();
      await page.getByRole("textbox", { name: "SQL statement" }).getByText("42").waitFor();
      await page.getByRole("button", { name: "Run" }).click();
      await page.getByRole("region", { name: "Answer" }).getByRole("cell", { name: "42" }).waitFor();
    },
    "metrics are drawn, over the time that the address says": async ({ page }) => {
      await page.goto(inside("metrics"));
      await page.getByRole("heading", { level: 1, name: "Metrics" }).waitFor();
      await page.getByRole("main").locator("canvas").first().waitFor();
    },
    "it is deleted, when its name is typed": async ({ page }) => {
      await page.goto(inside("overview"));
      await page.getByRole("button", { name: "More actions" }).click();
      await page.getByRole("menuitem", { name: /Delete/ }).click();
      const remove = page.getByRole("dialog");
      await remove.getByRole("textbox").fill("first-one");
      await remove.getByRole("button", { name: /^Delete/ }).click();
      await page.waitForURL("**/clusters");
      await until("it is gone", async () => (await call("GET", API)).clusters.length === 0);
    },
  },
  {
    // For who runs a single step.
    before: async () => {
      if (process.argv[2]) ({ id } = await cluster("first-one"));
    },
  },
);
