import AxeBuilder from "@axe-core/playwright";
import type { Locator, Page } from "@playwright/test";
import { formatUtcDateTime, toUtcInput } from "../src/lib/format";
import { ADVANCED, choose, dialog, expect, row, signInAs, STANDARD, test } from "./support/fixtures";
import { LAST_PAGE, showRunningRestore } from "./support/restores";

test.use({ backups: true });

const path = (id: string) => `/api/v1/clusters/${id}/backups-config`;
const RESTORES = "Restores";

const schedule = (page: Page) => page.getByRole("region", { name: "Schedule" });
const timeline = (page: Page) => page.getByRole("region", { name: "Backups" });
const editButton = (page: Page) => page.getByRole("button", { name: "Edit schedule" });

async function openDialog(page: Page): Promise<Locator> {
  await editButton(page).click();
  return dialog(page, "Edit backup schedule");
}

/** Opens the dialog that restores the newest backup. */
async function openRestore(page: Page): Promise<Locator> {
  await timeline(page).getByRole("button", { name: "Restore the backup of" }).first().click();
  return dialog(page, "Restore backup");
}

/** Saves, and returns the body of the request. */
async function save(page: Page, edit: Locator): Promise<unknown> {
  const sent = page.waitForRequest((request) => request.method() === "PATCH");
  await edit.getByRole("button", { name: "Save" }).click();
  return (await sent).postDataJSON();
}

/** Starts a restore, and returns the body of the request. */
async function start(page: Page, restore: Locator): Promise<unknown> {
  const sent = page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith("/restores"));
  await restore.getByRole("button", { name: "Restore", exact: true }).click();
  return (await sent).postDataJSON();
}

test("the frequency can be edited, also by other clients", async ({ page, server }) => {
  const { id } = await server.createCluster("gets-frequency", STANDARD);
  await page.goto(`/clusters/${id}/overview`);
  const navigation = page.getByRole("navigation", { name: "Cluster", exact: true });
  await navigation.getByRole("link", { name: "Backup and restore" }).click();
  await page.getByRole("heading", { level: 1, name: "Backup and restore" }).waitFor();
  for (const text of ["Enabled", "Every hour", "30 days"]) await expect(schedule(page)).toContainText(text);
  const edit = await openDialog(page);
  await expect(edit.getByRole("button", { name: "Save" })).toBeDisabled();
  await choose(page, "Frequency", "Every 4 hours");
  expect(await save(page, edit)).toEqual({ frequency_minutes: 240 });
  await expect(edit).toBeHidden();
  await expect(schedule(page)).toContainText("Every 4 hours");
  const expected = { enabled: true, frequency_minutes: 240, retention_days: 30 };
  expect(await server.call("GET", path(id))).toMatchObject(expected);
  await server.call("PATCH", path(id), { frequency_minutes: 5 });
  await expect(schedule(page)).toContainText("Every 5 minutes");
});

test("the retention can be changed once", async ({ page, server }) => {
  const { id } = await server.createCluster("gets-retention", STANDARD);
  await page.goto(`/clusters/${id}/backups`);
  const edit = await openDialog(page);
  await choose(page, "Retention", "7 days");
  await edit.getByText("you can't change the retention of this cluster again").waitFor();
  expect(await save(page, edit)).toEqual({ retention_days: 7 });
  await expect(edit).toBeHidden();
  await expect(schedule(page)).toContainText("7 days");
  const again = await openDialog(page);
  await choose(page, "Retention", "90 days");
  await again.getByRole("button", { name: "Save" }).click();
  await expect(again.getByRole("alert")).toContainText("cluster already has a retention policy set");
  expect(await server.call("GET", path(id))).toMatchObject({ retention_days: 7 });
});

test("backups can be disabled and enabled", async ({ page, server }) => {
  const { id } = await server.createCluster("gets-disabled", STANDARD);
  await page.goto(`/clusters/${id}/backups`);
  const disable = await openDialog(page);
  await choose(page, "Frequency", "Every 24 hours");
  await disable.getByRole("switch", { name: "Enable backups" }).click();
  await expect(disable.getByRole("combobox", { name: "Frequency" })).toBeDisabled();
  await expect(disable.getByRole("combobox", { name: "Frequency" })).toHaveValue("Every hour");
  expect(await save(page, disable)).toEqual({ enabled: false });
  await expect(disable).toBeHidden();
  await expect(schedule(page)).toContainText("Disabled");
  expect(await server.call("GET", path(id))).toMatchObject({ enabled: false });
  const enable = await openDialog(page);
  await enable.getByRole("switch", { name: "Enable backups" }).click();
  await choose(page, "Frequency", "Every 15 minutes");
  expect(await save(page, enable)).toEqual({ enabled: true, frequency_minutes: 15 });
  await expect(enable).toBeHidden();
  for (const text of ["Enabled", "Every 15 minutes"]) await expect(schedule(page)).toContainText(text);
});

test("the schedule of a Basic cluster is shown but can't be edited", async ({ page, server }) => {
  const { id } = await server.createCluster("has-fixed-schedule");
  await page.goto(`/clusters/${id}/backups`);
  for (const text of ["Enabled", "Every 24 hours", "30 days"]) await expect(schedule(page)).toContainText(text);
  await expect(schedule(page)).toContainText("Basic clusters have a fixed schedule");
  await expect(editButton(page)).toBeDisabled();
});

test("operators can edit the schedule", async ({ page, context, server }) => {
  const { id } = await server.createCluster("has-operator", STANDARD);
  await signInAs(context, server, "CLUSTER_OPERATOR_WRITER");
  await page.goto(`/clusters/${id}/backups`);
  const edit = await openDialog(page);
  await choose(page, "Frequency", "Every 30 minutes");
  await edit.getByRole("button", { name: "Save" }).click();
  await expect(schedule(page)).toContainText("Every 30 minutes");
});

test("auditors can't edit the schedule or restore backups", async ({ page, context, server }) => {
  const { id } = await server.createCluster("has-auditor", STANDARD);
  await server.firstBackup(id);
  await signInAs(context, server, "AUDITOR");
  await page.goto(`/clusters/${id}/backups`);
  await expect(schedule(page)).toContainText("Every hour");
  await expect(editButton(page)).toHaveCount(0);
  await timeline(page).getByRole("listitem").first().waitFor();
  await expect(timeline(page).getByRole("button")).toHaveCount(0);
});

test("the schedule is hidden without permission", async ({ page, context, server }) => {
  const { id } = await server.createCluster("has-developer", STANDARD);
  await signInAs(context, server, "CLUSTER_DEVELOPER");
  await page.goto(`/clusters/${id}/backups`);
  await page.getByText("You don't have permission to view this").waitFor();
  await expect(schedule(page)).toHaveCount(0);
});

test("a backup can be restored into its cluster", async ({ page, server }) => {
  const { id, name } = await server.createCluster("gets-restored", STANDARD);
  const databases = `/api/v1/clusters/${id}/databases`;
  await server.call("POST", databases, { name: "kept" });
  await page.goto(`/clusters/${id}/backups`);
  await server.firstBackup(id);
  await timeline(page).getByRole("listitem").first().waitFor();
  await server.call("POST", databases, { name: "erased" });
  const restore = await openRestore(page);
  await restore.getByText(`The current data of ${name} is erased`).waitFor();
  const submit = restore.getByRole("button", { name: "Restore" });
  await expect(submit).toBeDisabled();
  await restore.getByRole("textbox", { name: `Type ${name} to confirm` }).fill(name);
  await submit.click();
  await expect(restore).toBeHidden();
  await expect(row(page, RESTORES, "Succeeded")).toContainText(name);
  const { databases: found } = await server.call("GET", databases);
  const names = found.map((database: { name: string }) => database.name);
  expect(names).toContain("kept");
  expect(names).not.toContain("erased");
});

test("a failed restore into another cluster says why", async ({ page, server }) => {
  const source = await server.createCluster("is-source", STANDARD);
  const { id } = await server.createCluster("is-not-empty", STANDARD);
  await server.createCluster("has-other-plan");
  await server.call("POST", `/api/v1/clusters/${id}/databases`, { name: "shop" });
  await server.firstBackup(source.id);
  await page.goto(`/clusters/${source.id}/backups`);
  const restore = await openRestore(page);
  await restore.getByRole("radio", { name: "Another cluster" }).click();
  await restore.getByRole("combobox", { name: "Destination" }).click();
  const option = page.getByRole("option", { name: "is-not-empty", exact: true });
  await option.waitFor();
  await expect(page.getByRole("option", { name: /is-source|has-other-plan/ })).toHaveCount(0);
  await option.click();
  await restore.getByRole("button", { name: "Restore" }).click();
  await page.waitForURL(`**/clusters/${id}/backups`);
  const failed = row(page, RESTORES, "Failed");
  await expect(failed).toContainText("is-source");
  const { restores } = await server.call("GET", `/api/v1/clusters/${id}/restores`);
  await expect(failed).toContainText(restores[0].client_error_message);
});

test.describe("points in time", () => {
  const OFFSET_MS = 5.5 * 3_600_000;
  test.use({ timezoneId: "Asia/Kolkata" });

  test("any moment between two backups can be restored", async ({ page, server }) => {
    const { id, name } = await server.createCluster("goes-back", STANDARD);
    const oldest = Date.parse((await server.firstBackup(id)).as_of_time);
    await server.nextBackup(id);
    await page.goto(`/clusters/${id}/backups`);
    const input = timeline(page).getByLabel("Point in time");
    const button = timeline(page).getByRole("button", { name: "Restore this time" });
    const shown = async () => Date.parse(`${await input.inputValue()}Z`) - OFFSET_MS;
    const newest = await input.inputValue();
    const slider = timeline(page).getByRole("slider", { name: "Timeline" });
    await slider.click();
    await expect(input).not.toHaveValue(newest);
    const middle = await shown();
    expect(Math.abs(middle - (oldest + 1_800_000))).toBeLessThan(60_000);
    await slider.press("ArrowRight");
    await expect.poll(shown).toBe(middle + 1_000);

    await input.fill(toUtcInput(oldest - 60_000 + OFFSET_MS));
    await timeline(page).getByText("Use a time from").waitFor();
    await expect(button).toBeDisabled();
    const moment = Math.ceil(oldest / 1_000) * 1_000 + 754_000;
    await input.fill(toUtcInput(moment + OFFSET_MS));
    await button.click();
    const restore = dialog(page, "Restore a point in time");
    await expect(restore).toContainText("GMT+5:30");
    await expect(restore).toContainText(`(${formatUtcDateTime(moment)})`);
    await restore.getByRole("textbox", { name: `Type ${name} to confirm` }).fill(name);
    const point_in_time = new Date(moment).toISOString();
    expect(await start(page, restore)).toEqual({ type: "CLUSTER", source_cluster_id: id, point_in_time });
    await row(page, RESTORES, "Succeeded").waitFor();
    const { restores } = await server.call("GET", `/api/v1/clusters/${id}/restores`);
    expect(Date.parse(restores[0].point_in_time)).toBe(moment);
  });
});

test("databases can be restored under another name", async ({ page, server }) => {
  const { id } = await server.createCluster("has-databases", ADVANCED);
  const databases = `/api/v1/clusters/${id}/databases`;
  await server.call("POST", databases, { name: "shop" });
  const { id: backup_id } = await server.firstBackup(id);
  await page.goto(`/clusters/${id}/backups`);
  const restore = await openRestore(page);
  await restore.getByRole("radio", { name: "Databases" }).click();
  await restore.getByText("Select at least one database.").waitFor();
  await choose(page, "Databases to restore", "shop");
  await page.keyboard.press("Tab");
  const name = restore.getByRole("textbox", { name: "New name" });
  await name.fill("not a name");
  await expect(restore.getByRole("button", { name: "Restore", exact: true })).toBeDisabled();
  await name.fill("shop_before");
  expect(await start(page, restore)).toEqual({
    type: "DATABASE",
    source_cluster_id: id,
    backup_id,
    objects: [{ database: "shop" }],
    restore_opts: { new_db_name: "shop_before" },
  });
  await expect(restore).toBeHidden();
  await expect(row(page, RESTORES, "Succeeded")).toContainText("Database shop");
  const { databases: found } = await server.call("GET", databases);
  const names = found.map((database: { name: string }) => database.name);
  expect(names).toEqual(expect.arrayContaining(["shop", "shop_before"]));
});

test("tables can be restored into another database", async ({ page, server }) => {
  const { id } = await server.createCluster("has-tables", ADVANCED);
  await server.call("POST", `/api/v1/clusters/${id}/databases`, { name: "shop" });
  const { id: backup_id } = await server.firstBackup(id);
  await page.goto(`/clusters/${id}/backups`);
  const restore = await openRestore(page);
  await restore.getByRole("radio", { name: "Tables" }).click();
  await choose(page, "Database of the tables", "shop");
  const tables = restore.getByRole("combobox", { name: "Tables to restore" });
  for (const table of ["orders", "sales.items"]) {
    await tables.fill(table);
    await tables.press("Enter");
  }
  await choose(page, "Restore into the database", "defaultdb");
  await restore.getByRole("switch", { name: "Leave out foreign keys" }).click();
  await restore.getByRole("switch", { name: "without rows" }).click();
  expect(await start(page, restore)).toEqual({
    type: "TABLE",
    source_cluster_id: id,
    backup_id,
    objects: [
      { database: "shop", table: "orders" },
      { database: "shop", schema: "sales", table: "items" },
    ],
    restore_opts: { into_db: "defaultdb", schema_only: true, skip_missing_foreign_keys: true },
  });
  await expect(row(page, RESTORES, "Succeeded")).toContainText("Tables shop.public.orders, shop.sales.items");
});

test("a page without backups says when they are taken", async ({ page, server }) => {
  const { id } = await server.createCluster("has-no-backups", STANDARD);
  // The first backup can be taken before the page has loaded.
  const empty = { backups: [], pagination: LAST_PAGE };
  await page.route(`**/api/v1/clusters/${id}/backups?*`, (route) => route.fulfill({ json: empty }));
  await page.goto(`/clusters/${id}/backups`);
  await timeline(page).getByText("ten seconds after the cluster was created, and another one every hour").waitFor();
  await server.call("PATCH", path(id), { enabled: false });
  await timeline(page).getByText("Backups are disabled").waitFor();
  await timeline(page).getByRole("button", { name: "Enable backups" }).click();
  const edit = dialog(page, "Edit backup schedule");
  await edit.getByRole("switch", { name: "Enable backups" }).click();
  expect(await save(page, edit)).toEqual({ enabled: true });
  await timeline(page).getByText("No backups yet").waitFor();
});

test("the progress of a running restore is shown", async ({ page, server }) => {
  const cluster = await server.createCluster("is-locked", STANDARD);
  const locked = { ...cluster, state: "LOCKED", operation_status: "TENANT_RESTORE_RUNNING" };
  await showRunningRestore(page, locked, { backup_id: "0193796e-5c00-8000-8000-000000000000" });
  await page.goto(`/clusters/${cluster.id}/backups`);
  const progress = page.getByRole("progressbar", { name: "Progress of the restore" });
  await expect(progress).toHaveAttribute("aria-valuenow", "42");
  await expect(page.getByRole("status").filter({ has: progress })).toContainText("SQL clients can't connect");
  await row(page, RESTORES, "Running, 42%").waitFor();
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
});
