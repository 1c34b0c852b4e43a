import { chooseAction, dialog, expect, PASSWORD, row, test } from "./support/fixtures";

test("a user can be invited, sign in, and be removed", async ({ page, browser, server }) => {
  const email = "bob@example.com";
  await page.goto("/access");
  await page.getByRole("button", { name: "Invite user" }).click();
  const invite = dialog(page, "Invite user");
  await invite.getByRole("textbox", { name: "Email address" }).fill(email);
  await invite.getByRole("button", { name: "Create invite link" }).click();
  const link = (await invite.locator("code").filter({ hasText: "/link#" }).innerText()).trim();
  expect(link).toContain("/link#");
  await invite.getByRole("button", { name: "Done" }).click();
  await row(page, "Users", email).getByText("Invited").waitFor();

  const context = await browser.newContext({ baseURL: server.url });
  const other = await context.newPage();
  await other.goto(`/link#${link.split("#")[1]}`);
  await other.getByRole("textbox", { name: "New password" }).fill(PASSWORD);
  await other.getByRole("button", { name: "Save and sign in" }).click();
  await other.waitForURL("**/clusters");
  await row(page, "Users", email).getByText("Active").waitFor();
  await chooseAction(page, email, "Remove user");
  await dialog(page, `Remove ${email}?`).getByRole("button", { name: "Remove user" }).click();
  await expect(row(page, "Users", email)).toHaveCount(0);
  await context.close();
});

test("roles of a user can be edited", async ({ page, server }) => {
  const email = "carol@example.com";
  await server.createUser(email, []);
  await page.goto("/access");
  await chooseAction(page, email, "Edit roles");
  const edit = dialog(page, `Edit roles of ${email}`);
  await edit.getByText("the user can sign in").waitFor();
  await edit.getByRole("button", { name: "Add role" }).click();
  await edit.getByRole("button", { name: "Save" }).click();
  await expect(edit).toBeHidden();
  await expect(row(page, "Users", email).getByText("Cluster developer")).toBeVisible();
});

test("the secret of an API key is shown once", async ({ page, server }) => {
  await page.goto("/access/service-accounts");
  await page.getByRole("button", { name: "Create service account" }).first().click();
  const create = dialog(page, "Create service account");
  await create.getByRole("textbox", { name: "Name" }).fill("deployer");
  await create.getByText("the account can't access any clusters").waitFor();
  await create.getByRole("button", { name: "Add role" }).click();
  await create.getByRole("button", { name: "Create service account" }).click();
  await page.waitForURL(/service-accounts\/.+/);
  await page.getByRole("heading", { level: 1, name: "deployer" }).waitFor();
  await page.getByRole("button", { name: "Create key" }).first().click();
  const key = dialog(page, "Create API key for deployer");
  await key.getByRole("textbox", { name: "Name" }).fill("pipeline");
  await key.getByRole("button", { name: "Create key" }).click();
  await key.getByText("Secret of pipeline").waitFor();
  const code = key.locator("code").filter({ hasText: /^\S{20,}$/ });
  const secret = (await code.first().innerText()).trim();
  await server.call("GET", "/api/v1/organization", undefined, secret);
  await key.getByRole("button", { name: "Done" }).click();
  await row(page, "API keys", "pipeline").waitFor();
  await page.reload();
  await row(page, "API keys", "pipeline").waitFor();
  expect(await page.content()).not.toContain(secret);
  await page.getByRole("button", { name: "Delete key pipeline" }).click();
  const remove = dialog(page, "Delete API key pipeline?");
  await remove.getByRole("textbox").fill("deployer");
  await remove.getByRole("button", { name: "Delete key" }).click();
  await expect(row(page, "API keys", "pipeline")).toHaveCount(0);
});

test("the audit log is live, can be filtered, and shows payloads", async ({ page, server }) => {
  await page.goto("/audit");
  await row(page, "Audit log", "Accept user invite").first().waitFor();
  await server.call("POST", "/api/v1/folders", { name: "in-the-audit-log", parent_id: "" });
  await row(page, "Audit log", "Create folder").first().waitFor();
  await page.getByRole("combobox", { name: "Action" }).click();
  await page.keyboard.type("create folder");
  await page.getByRole("option", { name: "Create folder" }).click();
  await page.waitForURL(/action=CREATE_FOLDER/);
  await expect(row(page, "Audit log", "Accept user invite")).toHaveCount(0);
  await row(page, "Audit log", "Create folder").first().click();
  const entry = dialog(page, "Create folder");
  await entry.getByText("in-the-audit-log").first().waitFor();
  await page.reload();
  await entry.getByText("in-the-audit-log").first().waitFor();
  await page.keyboard.press("Escape");
  await expect(entry).toHaveCount(0);
});

test("the API explorer sends requests and shows the curl command", async ({ page }) => {
  await page.goto("/explorer");
  await page.getByRole("textbox", { name: "Search operations" }).fill("get /api/v1/organization");
  await page.getByRole("navigation", { name: "Operations" }).getByRole("link").first().click();
  await page.getByRole("button", { name: "Send", exact: true }).click();
  const response = page.getByRole("region", { name: "Response" });
  await response.getByText("200 OK").waitFor();
  await response.getByText('"ootheca"').first().waitFor();
  await page.getByRole("button", { name: "Show curl command" }).click();
  await expect(page.getByRole("region", { name: "curl command" })).toContainText("/api/v1/organization");
});
