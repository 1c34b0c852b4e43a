// The list of clusters: made by keyboard alone, found, followed while others change it, and kept in folders.
import { call, check, cluster, open, person, run, until } from "./harness.mjs";

const API = "/api/v1/clusters";
const dialog = (page, name) => page.getByRole("dialog", { name });
const rows = (page) => page.getByRole("table", { name: "Clusters" }).getByRole("row");
const link = (page, name) => page.getByRole("link", { name, exact: true });

async function menu(page, name, action) {
  await page.getByRole("button", { name: `Actions for ${name}` }).click();
  await page.getByRole("menuitem", { name: action }).click();
}

/** Presses Tab until something has the focus. */
async function tabTo(page, target) {
  for (let presses = 0; presses < 80; presses += 1) {
    await page.keyboard.press("Tab");
    if (await target.evaluate((element) => element === document.activeElement)) return;
  }
  throw new Error(`${target} is not reached with Tab`);
}

run({
  "an empty list says what to do, and a keyboard is enough for it": async ({ page }) => {
    await page.goto("/clusters");
    await page.getByRole("heading", { name: "No clusters yet" }).waitFor();
    await tabTo(page, page.getByRole("link", { name: "To the content" }));
    await tabTo(page, page.getByRole("link", { name: "Create cluster" }).first());
    await page.keyboard.press("Enter");
    await page.waitForURL("**/clusters/new");
    const name = page.getByRole("textbox", { name: "Name" });
    await name.waitFor();
    await tabTo(page, name);
    await page.keyboard.press("Control+A");
    await page.keyboard.type("by-keyboard");
    await tabTo(page, page.getByRole("button", { name: "Create cluster" }));
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/overview/);
    await page.getByRole("heading", { level: 1, name: "by-keyboard" }).waitFor();
  },
  "a name that is taken is refused in words, and what was entered stays": async ({ page }) => {
    await page.goto("/clusters/new");
    const name = page.getByRole("textbox", { name: "Name" });
    await name.fill("by-keyboard");
    await page.getByRole("button", { name: "Create cluster" }).click();
    await page
      .getByText(/already/)
      .first()
      .waitFor();
    check((await name.inputValue()) === "by-keyboard", "the name is gone");
  },
  "what others do appears by itself": async ({ page }) => {
    await page.goto("/clusters");
    await link(page, "by-keyboard").waitFor();
    const { id } = await cluster("made-elsewhere");
    await link(page, "made-elsewhere").waitFor();
    await call("DELETE", `${API}/${id}`);
    await link(page, "made-elsewhere").waitFor({ state: "detached" });
  },
  "clusters are found, and the search is part of the address": async ({ page }) => {
    const { id } = await cluster("zebra-fish");
    await page.goto("/clusters");
    const search = page.getByRole("textbox", { name: "Search clusters" });
    await search.fill("zeb");
    await link(page, "by-keyboard").waitFor({ state: "detached" });
    await page.reload();
    await link(page, "zebra-fish").waitFor();
    check((await search.inputValue()) === "zeb", "the search is lost");
    await search.fill(id);
    await link(page, "zebra-fish").waitFor();
    await search.fill("no such cluster");
    await page.getByRole("heading", { name: "Nothing matches" }).waitFor();
    await page.getByRole("button", { name: "Clear the search" }).click();
    await link(page, "by-keyboard").waitFor();
  },
  "the arrows walk over the rows, and Enter opens one": async ({ page }) => {
    await page.goto("/clusters");
    await link(page, "zebra-fish").waitFor();
    await rows(page).filter({ hasText: "by-keyboard" }).focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/overview/);
    await page.getByRole("heading", { level: 1, name: "zebra-fish" }).waitFor();
  },
  "folders hold clusters": async ({ page }) => {
    await page.goto("/clusters");
    await page.getByRole("button", { name: "Create folder" }).click();
    const create = dialog(page, "Create a folder");
    await create.getByRole("textbox", { name: "Name" }).fill("animals");
    await create.getByRole("button", { name: "Create folder" }).click();
    const tile = page.getByRole("navigation", { name: "Folders" }).getByRole("link", { name: /animals/ });
    await tile.waitFor();
    await menu(page, "zebra-fish", "Move to a folder");
    const move = page.getByRole("dialog");
    await move.getByRole("combobox", { name: "Folder" }).click();
    await page.getByRole("option", { name: /animals/ }).click();
    await move.getByRole("button", { name: /^Move/ }).click();
    await move.waitFor({ state: "hidden" });
    await tile.click();
    await page.getByRole("heading", { level: 1, name: "animals" }).waitFor();
    await link(page, "zebra-fish").waitFor();
    await link(page, "by-keyboard").waitFor({ state: "detached" });
    await page.goto("/folders");
    await page.getByRole("main").getByText("animals").first().waitFor();
  },
  "labels are edited": async ({ page }) => {
    await page.goto("/clusters");
    await menu(page, "by-keyboard", "Edit labels");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
  },
  "who may only look is offered nothing else": async ({ browser }) => {
    await person("viewer@example.com", ["CLUSTER_DEVELOPER"]);
    const { page, context } = await open(browser, "/clusters", { as: "viewer@example.com" });
    await link(page, "by-keyboard").waitFor();
    check((await page.getByRole("link", { name: "Create cluster" }).count()) === 0, "creating is offered");
    await page.getByRole("button", { name: "Actions for by-keyboard" }).click();
    check(await page.getByRole("menuitem", { name: "Delete" }).isDisabled(), "deleting is offered");
    await context.close();
  },
  "one is deleted when its name is typed": async ({ page }) => {
    await page.goto("/clusters");
    await menu(page, "by-keyboard", "Delete");
    const remove = page.getByRole("dialog");
    const button = remove.getByRole("button", { name: /^Delete/ });
    check(await button.isDisabled(), "it deletes unasked");
    await remove.getByRole("textbox").fill("by-keyboard");
    await button.click();
    await link(page, "by-keyboard").waitFor({ state: "detached" });
    await until("it is gone", async () =>
      (await call("GET", API)).clusters.every(({ name }) => name !== "by-keyboard"),
    );
  },
});
