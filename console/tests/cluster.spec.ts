// Clusters with real SQL servers.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Page } from "@playwright/test";
import { chooseAction, dialog, eventually, expect, row, test } from "./support/fixtures";

test.use({ engine: "postgres" });

const execute = promisify(execFile);
const API = "/api/v1/clusters";

/** Runs a command that the console shows, in a shell with its own home folder. */
async function shell(command: string, home: string, variables: Record<string, string> = {}) {
  const env = { PATH: process.env.PATH, HOME: home, ...variables };
  const { stdout } = await execute("sh", ["-eu", "-c", command], { env, timeout: 20_000 });
  return stdout;
}

async function enterStatement(page: Page, statement: string) {
  await page.getByRole("textbox", { name: "SQL statement" }).click();
  await page.keyboard.press("Control+A");
  await page.keyboard.insertText(statement);
}

test("a new cluster becomes ready and opens", async ({ page }) => {
  await page.goto("/clusters");
  await page.getByRole("link", { name: "Create cluster" }).first().click();
  await page.waitForURL("**/clusters/new");
  const name = page.getByRole("textbox", { name: "Name" });
  await expect(name).not.toHaveValue("");
  await name.fill("new-cluster");
  await page.getByRole("button", { name: "Create cluster" }).click();
  await page.waitForURL(/\/overview/, { timeout: 60_000 });
  await page.getByRole("heading", { level: 1, name: "new-cluster" }).waitFor();
  await expect(page.getByRole("main").getByText("Ready", { exact: true }).first()).toBeVisible();
});

test("the connect dialog shows commands that connect", async ({ page, server }) => {
  const { id } = await server.createCluster("connects");
  await page.goto(`/clusters/${id}/overview`);
  await page.getByRole("main").getByRole("button", { name: "Connect" }).first().click();
  const connect = dialog(page, "Connect to connects");
  await connect.getByRole("textbox", { name: "User name" }).fill("keeper");
  await connect.getByRole("button", { name: "Generate & save password" }).click();
  const password = (
    await connect
      .locator("code")
      .filter({ hasText: /^[A-Za-z0-9]{24}$/ })
      .innerText()
  ).trim();
  const shown = (label: string) => connect.getByRole("region", { name: label, exact: true }).innerText();
  const certificate = await shown("Command that downloads the certificate");
  const psql = await shown("psql code");
  const home = mkdtempSync(join(tmpdir(), "oo-home-"));
  try {
    await shell(certificate, home);
    const query = `-Atc "SELECT current_user || ' in ' || current_database()"`;
    const output = await shell(`${psql.trim()} ${query}`, home, { PGPASSWORD: password });
    expect(output.trim()).toBe("keeper in defaultdb");
  } finally {
    rmSync(home, { recursive: true });
  }
  for (const language of ["Go", "Node", "Python", "Java", "Rust"]) {
    await connect.getByRole("tab", { name: language }).click();
    const code = await shown(`${language} code`);
    expect(code.length).toBeGreaterThan(100);
    expect(code).not.toContain(password);
  }
});

test("SQL users can be created, changed, and deleted", async ({ page, server }) => {
  const { id } = await server.createCluster("has-users");
  await page.goto(`/clusters/${id}/users`);
  await page.getByRole("button", { name: "Create user" }).click();
  const create = dialog(page, "Create SQL user");
  await create.getByRole("textbox", { name: "User name" }).fill("postgres");
  await create.getByRole("button", { name: "Generate & save password" }).click();
  await create.getByText("is reserved").waitFor();
  await create.getByRole("textbox", { name: "User name" }).fill("second");
  await create.getByRole("button", { name: "Generate & save password" }).click();
  const created = dialog(page, "SQL user created");
  await created.getByText("second can now connect").waitFor();
  await created.getByRole("button", { name: "Done" }).click();
  await row(page, "SQL users", "second").waitFor();
  await chooseAction(page, "second", "Change password");
  const change = dialog(page, "Change password of second");
  await change.getByRole("radio", { name: "Enter a password" }).check();
  await change.getByRole("textbox", { name: "New password" }).fill("short");
  await change.getByRole("button", { name: "Save password" }).click();
  await expect(change.getByRole("textbox", { name: "New password" })).toHaveAttribute("data-invalid", "true");
  await change.getByRole("textbox", { name: "New password" }).fill("correct horse battery");
  await change.getByRole("button", { name: "Save password" }).click();
  await dialog(page, "Password changed").getByRole("button", { name: "Done" }).click();
  await chooseAction(page, "second", "Delete user");
  await dialog(page, "Delete SQL user second?").getByRole("button", { name: "Delete user" }).click();
  await expect(row(page, "SQL users", "second")).toHaveCount(0);
});

test("databases can be created, renamed, and deleted", async ({ page, server }) => {
  const { id } = await server.createCluster("has-databases");
  await page.goto(`/clusters/${id}/databases`);
  await row(page, "Databases", "defaultdb").waitFor();
  await page.getByRole("button", { name: "Create database" }).first().click();
  const create = dialog(page, "Create database");
  await create.getByRole("textbox", { name: "Database name" }).fill("shop");
  await create.getByRole("button", { name: "Create database" }).click();
  await row(page, "Databases", "shop").waitFor();
  await chooseAction(page, "shop", "Rename");
  const rename = dialog(page, "Rename shop");
  await rename.getByRole("textbox", { name: "New name" }).fill("market");
  await rename.getByRole("button", { name: "Rename" }).click();
  await row(page, "Databases", "market").waitFor();
  await chooseAction(page, "market", "Delete database");
  const remove = dialog(page, "Delete database market?");
  await expect(remove.getByRole("button", { name: "Delete database" })).toBeDisabled();
  await remove.getByRole("textbox").fill("market");
  await remove.getByRole("button", { name: "Delete database" }).click();
  await expect(row(page, "Databases", "market")).toHaveCount(0);
});

test("the SQL shell reads, writes only if allowed, and exports", async ({ page, server }) => {
  const { id } = await server.createCluster("has-shell");
  await page.goto(`/clusters/${id}/sql`);
  await enterStatement(page, "SELECT n, n * n AS square FROM generate_series(1, 500) AS n");
  await page.keyboard.press("Control+Enter");
  const result = page.getByRole("region", { name: "Result" });
  await result.getByText("500 rows").waitFor();
  await result.getByRole("cell", { name: "1", exact: true }).first().waitFor();
  const downloading = page.waitForEvent("download");
  await result.getByRole("button", { name: "Export CSV" }).click();
  const download = await downloading;
  const lines = readFileSync(await download.path(), "utf8")
    .trim()
    .split(/\r?\n/);
  expect([lines[0], lines[500]]).toEqual(["n,square", "500,250000"]);
  const run = page.getByRole("button", { name: "Run", exact: true });
  await enterStatement(page, "CREATE TABLE orders (id int)");
  await run.click();
  await result.getByText("Error 25006").waitFor();
  await page.getByRole("switch", { name: "Allow changes" }).click();
  await run.click();
  await result.getByRole("status").waitFor();
  await enterStatement(page, "SELECT nothing FROM orders");
  await run.click();
  await result.getByText("Error 42703").waitFor();
  await enterStatement(page, "SELECT * FROM orders");
  await page.getByRole("button", { name: "Explain" }).click();
  await expect(result.getByRole("region", { name: "Query plan" })).toContainText("orders");
});

test("a statement can be shared by its URL", async ({ page, server }) => {
  const { id } = await server.createCluster("shares-urls");
  await page.goto(`/clusters/${id}/sql`);
  await enterStatement(page, "SELECT 42 AS answer");
  await eventually("the URL holds the statement", () => new URL(page.url()).searchParams.get("q")?.includes("42"));
  await page.reload();
  await page.getByRole("textbox", { name: "SQL statement" }).getByText("42").waitFor();
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.getByRole("region", { name: "Result" }).getByRole("cell", { name: "42" }).waitFor();
});

test("metrics are drawn after a connection", async ({ page, server }) => {
  const { id } = await server.createCluster("has-metrics");
  await page.goto(`/clusters/${id}/metrics`);
  await page.getByRole("heading", { level: 1, name: "Metrics" }).waitFor();
  await expect(page.getByRole("main").locator("canvas").first()).toBeVisible({ timeout: 45_000 });
});

test("deleting a cluster from its overview requires its name", async ({ page, server }) => {
  const { id } = await server.createCluster("gets-deleted");
  await page.goto(`/clusters/${id}/overview`);
  await page.getByRole("button", { name: "More actions" }).click();
  await page.getByRole("menuitem", { name: "Delete" }).click();
  const remove = dialog(page, "Delete gets-deleted?");
  await remove.getByRole("textbox").fill("gets-deleted");
  await remove.getByRole("button", { name: "Delete cluster" }).click();
  await page.waitForURL("**/clusters");
  await eventually("the cluster is deleted", async () => {
    const { clusters } = await server.call("GET", API);
    return clusters.every((cluster: { id: string }) => cluster.id !== id);
  });
});
