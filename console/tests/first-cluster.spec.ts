import type { Locator, Page } from "@playwright/test";
import { expect, test } from "./support/fixtures";

/** Presses Tab until `target` has the focus. */
async function tabTo(page: Page, target: Locator) {
  for (let presses = 0; presses < 80; presses += 1) {
    await page.keyboard.press("Tab");
    if (await target.evaluate((element) => element === document.activeElement)) return;
  }
  throw new Error(`Tab doesn't reach ${target}`);
}

test("an empty list leads to creating a cluster with the keyboard alone", async ({ page }) => {
  await page.goto("/clusters");
  await page.getByRole("heading", { name: "No clusters" }).waitFor();
  await tabTo(page, page.getByRole("link", { name: "Skip to content" }));
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
  await expect(page.getByRole("heading", { level: 1, name: "by-keyboard" })).toBeVisible();
});
