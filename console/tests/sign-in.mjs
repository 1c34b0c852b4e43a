// Coming in and leaving.
import { check, email, invite, open, password, run } from "./harness.mjs";

const nobody = { as: null };

async function enter(page, address, secret) {
  await page.getByRole("textbox", { name: "E-mail address" }).fill(address);
  await page.getByRole("textbox", { name: "Password" }).fill(secret);
  await page.getByRole("button", { name: "Sign in" }).click();
}

run({
  "a password lets in, and leads to where one wanted to go": [
    nobody,
    async ({ page, context }) => {
      await page.goto("/audit");
      await page.waitForURL("**/sign-in**");
      await enter(page, email, password);
      await page.waitForURL("**/audit");
      await page.getByRole("heading", { level: 1, name: "Audit log" }).waitFor();
      const [cookie] = await context.cookies();
      check(cookie.httpOnly && cookie.sameSite === "Strict", `the cookie is open: ${JSON.stringify(cookie)}`);
      check(!(await page.evaluate(() => document.cookie)), "scripts see the cookie");
      const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
      check(!kept.includes(cookie.value) && !kept.includes(password), `secrets are kept in the page: ${kept}`);
    },
  ],
  "a wrong password does not": [
    nobody,
    async ({ page }) => {
      await page.goto("/sign-in");
      await enter(page, email, "wrong horse battery");
      await page.getByRole("alert").filter({ hasText: "e-mail address or password is wrong" }).waitFor();
      await enter(page, email, password);
      await page.waitForURL("**/clusters");
    },
  ],
  "a strange address is not followed after it": [
    nobody,
    async ({ page }) => {
      await page.goto("/sign-in?to=https%3A%2F%2Fevil.example%2F");
      await enter(page, email, password);
      await page.waitForURL((url) => url.pathname !== "/sign-in");
      await page.getByRole("heading", { level: 1 }).waitFor();
    },
  ],
  "a link lets in once, and chooses a password": [
    nobody,
    async ({ page, browser }) => {
      const token = await invite("grace@example.com", ["CLUSTER_ADMIN"]);
      await page.goto(`/link#${token}`);
      await page.getByRole("textbox", { name: "New password" }).fill(password);
      check(!page.url().includes(token), "the token stays in the address");
      await page.getByRole("button", { name: "Save and come in" }).click();
      await page.waitForURL("**/clusters");
      const again = await open(browser, `/link#${token}`, nobody);
      await again.page.getByRole("textbox", { name: "New password" }).fill(password);
      await again.page.getByRole("button", { name: "Save and come in" }).click();
      await again.page.getByRole("alert").filter({ hasText: "has expired" }).waitFor();
      await again.page.goto("/sign-in");
      await enter(again.page, "grace@example.com", password);
      await again.page.waitForURL("**/clusters");
      await again.context.close();
    },
  ],
  "who leaves is out": [
    nobody,
    async ({ page }) => {
      await page.goto("/sign-in");
      await enter(page, email, password);
      await page.waitForURL("**/clusters");
      await page.getByRole("button", { name: email }).click();
      await page.getByRole("menuitem", { name: "Sign out" }).click();
      await page.waitForURL("**/sign-in");
      await page.goto("/clusters");
      await page.waitForURL("**/sign-in**");
    },
  ],
  "a password is changed": [
    nobody,
    async ({ page }) => {
      const token = await invite("linus@example.com", []);
      await page.goto(`/link#${token}`);
      await page.getByRole("textbox", { name: "New password" }).fill(password);
      await page.getByRole("button", { name: "Save and come in" }).click();
      await page.getByRole("button", { name: "linus@example.com" }).click();
      await page.getByRole("menuitem", { name: "Change password" }).click();
      const dialog = page.getByRole("dialog", { name: "Change password" });
      await dialog.getByRole("textbox", { name: "Present password" }).fill(password);
      await dialog.getByRole("textbox", { name: "New password" }).fill("another long password");
      await dialog.getByRole("button", { name: "Save" }).click();
      await dialog.waitFor({ state: "hidden" });
      await page.goto("/organization");
      await page.getByRole("heading", { level: 1 }).waitFor();
    },
  ],
});
