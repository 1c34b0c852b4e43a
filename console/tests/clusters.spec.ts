import type { Page } from "@playwright/test";
import { chooseAction, dialog, eventually, expect, row, test } from "./support/fixtures";

const API = "/api/v1/clusters";
const link = (page: Page, name: string) => page.getByRole("link", { name, exact: true });

test("a name that is taken is rejected and the form is kept", async ({ page, server }) => {
  await server.createCluster("name-taken");
  await page.goto("/clusters/new");
  const name = page.getByRole("textbox", { name: "Name" });
  await name.fill("name-taken");
  await page.getByRole("button", { name: "Create cluster" }).click();
  await expect(page.getByRole("alert").filter({ hasText: "Couldn't create the cluster" })).toBeVisible();
  await expect(name).toHaveValue("name-taken");
});

test("an invalid name is reported before it is submitted", async ({ page }) => {
  await page.goto("/clusters/new");
  await page.getByRole("textbox", { name: "Name" }).fill("Bad Name");
  await expect(page.getByRole("button", { name: "Create cluster" })).toBeDisabled();
});

test("changes by other clients appear without a reload", async ({ page, server }) => {
  await server.createCluster("stays-listed");
  await page.goto("/clusters");
  await link(page, "stays-listed").waitFor();
  const { id } = await server.createCluster("created-elsewhere");
  await link(page, "created-elsewhere").waitFor();
  await server.call("DELETE", `${API}/${id}`);
  await expect(link(page, "created-elsewhere")).toHaveCount(0);
});

test("the search filters the list and is part of the URL", async ({ page, server }) => {
  const { id } = await server.createCluster("zebra-fish");
  await server.createCluster("sea-urchin");
  await page.goto("/clusters");
  const search = page.getByRole("textbox", { name: "Search clusters" });
  await search.fill("zeb");
  await expect(link(page, "sea-urchin")).toHaveCount(0);
  await page.reload();
  await link(page, "zebra-fish").waitFor();
  await expect(search).toHaveValue("zeb");
  await search.fill(id);
  await link(page, "zebra-fish").waitFor();
  await search.fill("no such cluster");
  await page.getByRole("heading", { name: "No clusters match" }).waitFor();
  await page.getByRole("button", { name: "Clear search" }).click();
  await link(page, "sea-urchin").waitFor();
});

test("the arrow keys move between rows and Enter opens one", async ({ page, server }) => {
  await server.createCluster("arrow-one");
  await server.createCluster("arrow-two");
  await page.goto("/clusters?q=arrow-");
  await link(page, "arrow-two").waitFor();
  await row(page, "Clusters", "arrow-one").focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/overview/);
  await page.getByRole("heading", { level: 1, name: "arrow-two" }).waitFor();
});

test("clusters can be moved to folders", async ({ page, server }) => {
  await server.createCluster("moves-away");
  await server.createCluster("stays-here");
  await page.goto("/clusters");
  await page.getByRole("button", { name: "Create folder" }).click();
  const create = dialog(page, "Create folder");
  await create.getByRole("textbox", { name: "Name" }).fill("animals");
  await create.getByRole("button", { name: "Create folder" }).click();
  const tile = page.getByRole("navigation", { name: "Folders" }).getByRole("link", { name: /animals/ });
  await tile.waitFor();
  await chooseAction(page, "moves-away", "Move to folder");
  const move = dialog(page, "Move moves-away");
  await move.getByRole("combobox", { name: "Folder" }).click();
  await page.getByRole("option", { name: /animals/ }).click();
  await move.getByRole("button", { name: "Move" }).click();
  await expect(move).toBeHidden();
  await tile.click();
  await page.getByRole("heading", { level: 1, name: "animals" }).waitFor();
  await link(page, "moves-away").waitFor();
  await expect(link(page, "stays-here")).toHaveCount(0);
  await page.goto("/folders");
  await expect(page.getByRole("treeitem", { name: /animals/ })).toBeVisible();
});

test("labels can be edited", async ({ page, server }) => {
  const { id } = await server.createCluster("gets-labels");
  await page.goto("/clusters");
  await chooseAction(page, "gets-labels", "Edit labels");
  const edit = dialog(page, "Edit labels of gets-labels");
  await edit.getByRole("textbox", { name: "Key 1" }).fill("Team");
  await expect(edit.getByRole("button", { name: "Save" })).toBeDisabled();
  await edit.getByRole("textbox", { name: "Key 1" }).fill("team");
  await edit.getByRole("textbox", { name: "Value 1" }).fill("payments");
  await edit.getByRole("button", { name: "Save" }).click();
  await expect(edit).toBeHidden();
  await expect(row(page, "Clusters", "team: payments")).toBeVisible();
  expect((await server.call("GET", `${API}/${id}`)).labels).toEqual({ team: "payments" });
});

test("actions without permission are not offered", async ({ page, context, server }) => {
  await server.createCluster("read-only");
  const cookie = await server.createUser("viewer@example.com", ["CLUSTER_DEVELOPER"]);
  await context.clearCookies();
  await context.addCookies([{ ...cookie, httpOnly: true, sameSite: "Strict" }]);
  await page.goto("/clusters");
  await link(page, "read-only").waitFor();
  await expect(page.getByRole("link", { name: "Create cluster" })).toHaveCount(0);
  await page.getByRole("button", { name: "Actions for read-only" }).click();
  await expect(page.getByRole("menuitem", { name: "Delete" })).toBeDisabled();
});

test("limits can be edited", async ({ page, server }) => {
  const { id } = await server.createCluster("gets-limits");
  await page.goto(`/clusters/${id}/overview`);
  await page.getByRole("button", { name: "Edit capacity" }).click();
  const edit = dialog(page, "Edit limits");
  await edit.getByRole("switch", { name: "Limit request units" }).click();
  await edit.getByRole("button", { name: "Save" }).click();
  await expect(edit).toBeHidden();
  await expect(page.getByRole("main").getByText("50M RU per month")).toBeVisible();
});

test("deleting a cluster requires its name", async ({ page, server }) => {
  const { id } = await server.createCluster("gets-deleted");
  await page.goto("/clusters");
  await chooseAction(page, "gets-deleted", "Delete");
  const remove = dialog(page, "Delete gets-deleted?");
  const button = remove.getByRole("button", { name: "Delete cluster" });
  await expect(button).toBeDisabled();
  await remove.getByRole("textbox").fill("gets-deleted");
  await button.click();
  await expect(link(page, "gets-deleted")).toHaveCount(0);
  await eventually("the cluster is deleted", async () => {
    const { clusters } = await server.call("GET", API);
    return clusters.every((cluster: { id: string }) => cluster.id !== id);
  });
});
