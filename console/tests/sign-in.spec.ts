import { ADMIN, dialog, expect, PASSWORD, signIn, test } from "./support/fixtures";

test.use({ signedIn: false });

test("signing in opens the requested page and keeps secrets out of reach of scripts", async ({ page, context }) => {
  await page.goto("/audit");
  await page.waitForURL("**/sign-in**");
  await signIn(page, ADMIN, PASSWORD);
  await page.waitForURL("**/audit");
  await expect(page.getByRole("heading", { level: 1, name: "Audit log" })).toBeVisible();
  const [cookie] = await context.cookies();
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Strict" });
  expect(await page.evaluate(() => document.cookie)).toBe("");
  const stored = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  expect(stored).not.toContain(cookie?.value);
  expect(stored).not.toContain(PASSWORD);
});

test("a wrong password is rejected", async ({ page }) => {
  await page.goto("/sign-in");
  await signIn(page, ADMIN, "wrong horse battery");
  await expect(page.getByRole("alert").filter({ hasText: "Couldn't sign in" })).toBeVisible();
  await signIn(page, ADMIN, PASSWORD);
  await page.waitForURL("**/clusters");
});

test("a redirect to another site is ignored", async ({ page }) => {
  await page.goto("/sign-in?to=https%3A%2F%2Fevil.example%2F");
  await signIn(page, ADMIN, PASSWORD);
  await page.waitForURL("**/clusters");
});

test("an invite link works once and sets a password", async ({ page, browser, server }) => {
  const email = "grace@example.com";
  const token = await server.invite(email, ["CLUSTER_ADMIN"]);
  await page.goto(`/link#${token}`);
  await page.getByRole("textbox", { name: "New password" }).fill("short");
  await page.getByRole("button", { name: "Save and sign in" }).click();
  await expect(page.getByRole("textbox", { name: "New password" })).toHaveAttribute("data-invalid", "true");
  await page.getByRole("textbox", { name: "New password" }).fill(PASSWORD);
  expect(page.url()).not.toContain(token);
  await page.getByRole("button", { name: "Save and sign in" }).click();
  await page.waitForURL("**/clusters");

  const second = await browser.newContext({ baseURL: server.url });
  const other = await second.newPage();
  await other.goto(`/link#${token}`);
  await other.getByRole("textbox", { name: "New password" }).fill(PASSWORD);
  await other.getByRole("button", { name: "Save and sign in" }).click();
  await expect(other.getByRole("alert").filter({ hasText: "Couldn't sign in" })).toBeVisible();
  await other.goto("/sign-in");
  await signIn(other, email, PASSWORD);
  await other.waitForURL("**/clusters");
  await second.close();
});

test("signing out ends the session", async ({ page, server }) => {
  await page.goto("/sign-in");
  await signIn(page, ADMIN, PASSWORD);
  await page.waitForURL("**/clusters");
  await page.getByRole("link", { name: "Organization" }).click();
  await page.waitForURL("**/organization");
  // The console learns from the closed event stream that the session has ended before it gets the response.
  await page.route("**/api/ootheca/v1/session", async (route) => {
    if (route.request().method() !== "DELETE") return route.continue();
    const rejected = page.waitForResponse(
      (response) => response.request().method() === "GET" && response.url().endsWith("/session"),
    );
    const response = await route.fetch();
    await server.createUser("event@example.com", []);
    await rejected;
    await route.fulfill({ response });
  });
  await page.getByRole("button", { name: ADMIN }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.waitForURL("**/sign-in");
  await expect(page.getByText("Your session has ended")).toBeHidden();
  await page.goBack();
  await page.waitForURL("**/sign-in?to=%2Fclusters");
  await page.getByRole("textbox", { name: "Email address" }).waitFor();
  await page.goto("/clusters");
  await page.waitForURL("**/sign-in**");
});

test("the password can be changed", async ({ page, server }) => {
  const email = "linus@example.com";
  await server.createUser(email, []);
  await page.goto("/sign-in");
  await signIn(page, email, PASSWORD);
  await page.waitForURL("**/clusters");
  await page.getByRole("button", { name: email }).click();
  await page.getByRole("menuitem", { name: "Change password" }).click();
  const change = dialog(page, "Change password");
  await change.getByRole("textbox", { name: "Current password" }).fill(PASSWORD);
  await change.getByRole("textbox", { name: "New password" }).fill("another long password");
  await change.getByRole("button", { name: "Save" }).click();
  await expect(change).toBeHidden();
  await server.signIn({ email, password: "another long password" });
  await page.goto("/organization");
  await expect(page.getByRole("heading", { level: 1, name: "Organization" })).toBeVisible();
});
