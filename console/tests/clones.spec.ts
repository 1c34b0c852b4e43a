// Clones of clusters, clusters that delete themselves, and what the pages of a cluster say about both.
import AxeBuilder from "@axe-core/playwright";
import type { Locator, Page } from "@playwright/test";
import { choose, chooseAction, dialog, eventually, expect, row, signInAs, STANDARD, test } from "./support/fixtures";
import { showRunningRestore } from "./support/restores";

test.use({ backups: true });

const API = "/api/v1/clusters";

const main = (page: Page) => page.getByRole("main");
const alert = (page: Page, title: string) => main(page).getByRole("alert").filter({ hasText: title });

/** Submits the form that clones a cluster, and returns the body of the request. */
async function create(page: Page, clone: Locator): Promise<unknown> {
  const sent = page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith(API));
  await clone.getByRole("button", { name: "Create cluster" }).click();
  return (await sent).postDataJSON();
}

/** Waits for the page of a new cluster, and returns the ID. */
async function opened(page: Page, name: string): Promise<string> {
  await page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
  return new URL(page.url()).pathname.split("/")[2] ?? "";
}

const ready = (page: Page) => main(page).getByText("Ready", { exact: true }).first().waitFor();

test("a backup becomes a new cluster in two clicks", async ({ page, server }) => {
  const { id } = await server.createCluster("gets-cloned", STANDARD);
  await server.call("POST", `${API}/${id}/databases`, { name: "kept" });
  const backup = await server.firstBackup(id);
  await server.call("POST", `${API}/${id}/databases`, { name: "added-later" });
  await page.goto(`/clusters/${id}/backups`);
  await page.getByRole("button", { name: "Clone the backup of" }).first().click();
  const clone = dialog(page, "Clone gets-cloned");
  await expect(clone.getByRole("textbox", { name: "Name" })).toHaveValue("gets-cloned-copy");
  expect(await create(page, clone)).toEqual({
    name: "gets-cloned-copy",
    restore_from: { source_cluster_id: id, backup_id: backup.id },
  });
  const copy = await opened(page, "gets-cloned-copy");
  await ready(page);
  expect(await server.call("GET", `${API}/${copy}`)).toMatchObject({ plan: "STANDARD", state: "CREATED" });
  const { databases } = await server.call("GET", `${API}/${copy}/databases`);
  const names = databases.map((database: { name: string }) => database.name);
  expect(names).toContain("kept");
  expect(names).not.toContain("added-later");
});

test("the present data can be cloned from the list and from the pages of a cluster", async ({ page, server }) => {
  const { id } = await server.createCluster("has-copies");
  const body = (name: string) => ({ name, restore_from: { source_cluster_id: id } });
  await page.goto("/clusters");
  await chooseAction(page, "has-copies", "Clone");
  expect(await create(page, dialog(page, "Clone has-copies"))).toEqual(body("has-copies-copy"));
  await opened(page, "has-copies-copy");
  await ready(page);
  await page.goto(`/clusters/${id}/backups`);
  await page.getByRole("button", { name: "Clone now" }).click();
  const second = dialog(page, "Clone has-copies");
  await expect(second.getByRole("textbox", { name: "Name" })).toHaveValue("has-copies-copy-2");
  expect(await create(page, second)).toEqual(body("has-copies-copy-2"));
  await opened(page, "has-copies-copy-2");
  await page.goto(`/clusters/${id}/overview`);
  await page.getByRole("button", { name: "More actions" }).click();
  await page.getByRole("menuitem", { name: "Clone" }).click();
  const third = dialog(page, "Clone has-copies");
  await third.getByRole("textbox", { name: "Name" }).fill("Bad Name");
  await expect(third.getByRole("button", { name: "Create cluster" })).toBeDisabled();
  await third.getByRole("textbox", { name: "Name" }).fill("has-copies");
  await third.getByRole("button", { name: "Create cluster" }).click();
  await expect(third.getByRole("alert").filter({ hasText: "Couldn't create the cluster" })).toBeVisible();
});

test("a clone can have another plan and folder", async ({ page, server }) => {
  const { resource_id: folder } = await server.call("POST", "/api/v1/folders", { name: "branches", parent_id: "" });
  const { id } = await server.createCluster("has-branch", STANDARD);
  await page.goto(`/clusters/${id}/backups`);
  await page.getByRole("button", { name: "Clone now" }).click();
  const clone = dialog(page, "Clone has-branch");
  await choose(page, "Plan", "Basic");
  await choose(page, "Folder", "branches");
  expect(await create(page, clone)).toMatchObject({
    provider: "GCP",
    spec: { plan: "BASIC", parent_id: folder, serverless: { regions: ["us-central1"] } },
  });
  const copy = await opened(page, "has-branch-copy");
  await ready(page);
  expect(await server.call("GET", `${API}/${copy}`)).toMatchObject({ plan: "BASIC", parent_id: folder });
});

test("a clone shows when it expires, and is deleted then", async ({ page, server }) => {
  const { id } = await server.createCluster("has-short-copy");
  await page.goto(`/clusters/${id}/backups`);
  await page.getByRole("button", { name: "Clone now" }).click();
  const clone = dialog(page, "Clone has-short-copy");
  await choose(page, "Expires", "At another time");
  const submit = clone.getByRole("button", { name: "Create cluster" });
  await expect(submit).toBeDisabled();
  await clone.getByLabel("Expiry time").fill("2020-01-01T00:00");
  await clone.getByText("Use a time in the future.").waitFor();
  await expect(submit).toBeDisabled();
  await choose(page, "Expires", "In 1 hour");
  await submit.click();
  const copy = await opened(page, "has-short-copy-copy");
  const badge = main(page).getByText(/^Expires in (1 h|5\d min)$/);
  await expect(badge.first()).toHaveAttribute("title", /\d\d:\d\d:\d\d/);
  const { expires_at } = await server.call("GET", `${API}/${copy}`);
  expect(Math.abs(Date.parse(expires_at) - Date.now() - 3_600_000)).toBeLessThan(600_000);
  await page.goto("/clusters");
  const listed = row(page, "Clusters", "has-short-copy-copy");
  await expect(listed).toContainText("Expires in");
  await server.call("POST", "/api/ootheca/v1/clock", { advance_seconds: 3_600 });
  await expect(listed).toHaveCount(0);
  await eventually("the clone is deleted", async () => {
    const { clusters } = await server.call("GET", API);
    return clusters.every((cluster: { id: string }) => cluster.id !== copy);
  });
});

test("a clone whose SQL fails says why", async ({ page, server }) => {
  const { id } = await server.createCluster("gets-masked");
  await page.goto(`/clusters/${id}/backups`);
  await page.getByRole("button", { name: "Clone now" }).click();
  const clone = dialog(page, "Clone gets-masked");
  await clone.getByRole("switch", { name: "Run SQL before clients can connect" }).click();
  await expect(clone.getByRole("button", { name: "Create cluster" })).toBeDisabled();
  await clone.getByRole("textbox", { name: "SQL", exact: true }).fill("DELETE FROM customers");
  await choose(page, "Database", "defaultdb");
  const masking = { masking_sql: "DELETE FROM customers", masking_database: "defaultdb" };
  // The simulated engine has no tables, so it runs no SQL.
  expect(await create(page, clone)).toMatchObject({ restore_from: { source_cluster_id: id, ...masking } });
  const copy = await opened(page, "gets-masked-copy");
  const failed = alert(page, "Couldn't create this cluster");
  await failed.waitFor();
  const { ootheca } = await server.call("GET", `${API}/${copy}`);
  const reason = ootheca.conditions.find(({ kind }: { kind: string }) => kind === "CreationFailed").message;
  await expect(failed).toContainText(reason);
});

test("the progress of a clone is shown on its page", async ({ page, server }) => {
  const cluster = await server.createCluster("is-created");
  const creating = { ...cluster, state: "CREATING" };
  await showRunningRestore(page, creating, { source_cluster_name: "is-source" });
  await page.goto(`/clusters/${cluster.id}/overview`);
  const progress = page.getByRole("progressbar", { name: "Progress of the restore" });
  await expect(progress).toHaveAttribute("aria-valuenow", "42");
  await expect(page.getByRole("status").filter({ has: progress })).toContainText("The data of is-source as of");
});

test("conditions of the backups are shown", async ({ page, server }) => {
  const cluster = await server.createCluster("is-not-backed-up");
  const message = "the backup is overdue: the repository could not be written";
  const conditions = [{ kind: "BackupFailed", holds: true, message }];
  const failing = { ...cluster, ootheca: { ...cluster.ootheca, conditions } };
  await page.route(`**/api/v1/clusters/${cluster.id}`, (route) => route.fulfill({ json: failing }));
  await page.goto(`/clusters/${cluster.id}/overview`);
  await expect(alert(page, "Backups are overdue")).toContainText(message);
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
});

test("clones are not offered to users who can't create clusters", async ({ page, context, server }) => {
  const { id } = await server.createCluster("has-operator", STANDARD);
  await server.firstBackup(id);
  await signInAs(context, server, "CLUSTER_OPERATOR_WRITER");
  await page.goto(`/clusters/${id}/backups`);
  await page.getByRole("button", { name: "Restore the backup of" }).first().waitFor();
  await expect(page.getByRole("button", { name: /Clone/ })).toHaveCount(0);
});
