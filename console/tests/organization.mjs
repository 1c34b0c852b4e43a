// What concerns the whole organization: people, service accounts, folders, the audit log, the API explorer.
import { base, call, check, password, run, until } from "./harness.mjs";

const dialog = (page, name) => page.getByRole("dialog", { name });
const row = (page, table, text) => page.getByRole("table", { name: table }).getByRole("row").filter({ hasText: text });

async function menu(page, name, action) {
  await page.getByRole("button", { name: `Actions for ${name}` }).click();
  await page.getByRole("menuitem", { name: action }).click();
}

run({
  "somebody is invited, comes in, and is removed": async ({ page, browser }) => {
    await page.goto("/access");
    await page.getByRole("button", { name: "Invite" }).click();
    const invite = dialog(page, "Invite a person");
    await invite.getByRole("textbox", { name: "E-mail address" }).fill("bob@example.com");
    await invite.getByRole("button", { name: "Make the link" }).click();
    const link = (await invite.locator("code").filter({ hasText: "/link#" }).innerText()).trim();
    check(link.startsWith(base) || link.includes("/link#"), `a link to elsewhere: ${link}`);
    await invite.getByRole("button", { name: "Done" }).click();
    await row(page, "People", "bob@example.com").getByText("Invited").waitFor();
    const context = await browser.newContext({ baseURL: base });
    const other = await context.newPage();
    await other.goto(`/link#${link.split("#")[1]}`);
    await other.getByRole("textbox", { name: "New password" }).fill(password);
    await other.getByRole("button", { name: "Save and come in" }).click();
    await other.waitForURL("**/clusters");
    await row(page, "People", "bob@example.com").getByText("Active").waitFor();
    await menu(page, "bob@example.com", "Remove");
    await dialog(page, "Remove bob@example.com?").getByRole("button", { name: "Remove" }).click();
    await row(page, "People", "bob@example.com").waitFor({ state: "detached" });
    await context.close();
  },
  "a service account gets a key, which is shown once": async ({ page }) => {
    await page.goto("/access/service-accounts");
    await page.getByRole("button", { name: "Create service account" }).first().click();
    const create = dialog(page, "Create a service account");
    await create.getByRole("textbox", { name: "Name" }).fill("deployer");
    await create.getByRole("button", { name: "Add a role" }).click();
    await create.getByRole("button", { name: /^Create/ }).click();
    await page.waitForURL(/service-accounts\/.+/);
    await page.getByRole("heading", { level: 1, name: "deployer" }).waitFor();
    await page.getByRole("button", { name: "Create key" }).first().click();
    const key = dialog(page, "Create an API key for deployer");
    await key.getByRole("textbox", { name: "Name" }).fill("pipeline");
    await key.getByRole("button", { name: "Create key" }).click();
    await key.getByText("Secret of pipeline").waitFor();
    const secret = (
      await key
        .locator("code")
        .filter({ hasText: /^\S{20,}$/ })
        .first()
        .innerText()
    ).trim();
    await call("GET", "/api/v1/organization", undefined, secret);
    await key.getByRole("button", { name: "Done" }).click();
    await row(page, "API keys", "pipeline").waitFor();
    await page.reload();
    await row(page, "API keys", "pipeline").waitFor();
    check(!(await page.content()).includes(secret), "the secret is shown again");
    await page.getByRole("button", { name: "Delete key pipeline" }).click();
    const remove = dialog(page, "Delete the key pipeline?");
    await remove.getByRole("textbox").fill("deployer");
    await remove.getByRole("button", { name: "Delete key" }).click();
    await row(page, "API keys", "pipeline").waitFor({ state: "detached" });
  },
  "the audit log is filtered, followed, and shows what was sent": async ({ page }) => {
    await page.goto("/audit");
    const entry = (text) => row(page, "Audit log", text);
    await entry("User login").first().waitFor();
    await call("POST", "/api/v1/folders", { name: "seen-in-the-log", parent_id: "" });
    await entry(/create folder/i)
      .first()
      .waitFor();
    await page.getByRole("combobox", { name: "Action" }).click();
    await page.keyboard.type("folder");
    await page.getByRole("option", { name: /create folder/i }).click();
    await page.waitForURL(/action=CREATE_FOLDER/);
    await until("only folders are left", async () => (await entry("User login").count()) === 0);
    await entry(/create folder/i)
      .first()
      .click();
    const shown = page.getByRole("dialog", { name: /create folder/i });
    await shown.getByText("seen-in-the-log").first().waitFor();
    await page.reload();
    await shown.getByText("seen-in-the-log").first().waitFor();
    await page.keyboard.press("Escape");
    await shown.waitFor({ state: "detached" });
  },
  "the explorer sends what it shows": async ({ page }) => {
    await page.goto("/explorer");
    await page.getByRole("textbox", { name: "Search operations" }).fill("organization");
    await page.getByRole("link", { name: /Get the caller's organization/ }).click();
    await page.getByRole("button", { name: "Send", exact: true }).click();
    const response = page.getByRole("region", { name: "Response" });
    await response.getByText("200 OK").waitFor();
    await response.getByText('"ootheca"').first().waitFor();
    await page.getByRole("button", { name: "As curl" }).click();
    await page.getByText("/api/v1/organization").last().waitFor();
  },
});
