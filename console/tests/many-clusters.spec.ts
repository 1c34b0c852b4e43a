// Ten thousand clusters. tests/it/console/many.rs creates them and passes its server in the environment.
import { expect, test } from "@playwright/test";
import { Api } from "./support/server.mjs";

const { OOTHECA_SERVER: url = "", OOTHECA_API_KEY: key = "" } = process.env;

test("ten thousand clusters are listed, scrolled, and searched", async ({ browser }) => {
  const api = new Api(url, key);
  const cookie = await api.createUser("ada@example.com", ["CLUSTER_ADMIN"]);
  const context = await browser.newContext({ baseURL: url });
  await context.addCookies([{ ...cookie, httpOnly: true, sameSite: "Strict" }]);
  const page = await context.newPage();
  await page.goto("/clusters");
  await page.getByText("10,000 clusters", { exact: true }).waitFor({ timeout: 60_000 });
  const table = page.getByRole("table", { name: "Clusters" });
  await expect(table).toHaveAttribute("aria-rowcount", "10001");
  const expectFewRows = async () => expect(await table.getByRole("row").count()).toBeLessThan(100);
  await expectFewRows();
  await page.getByRole("link", { name: "copy-00001", exact: true }).waitFor();
  // The height of a row is an estimate until the row is rendered, so the end may move once.
  const last = page.getByRole("link", { name: "many-00000", exact: true });
  await expect(async () => {
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    await expect(last).toBeAttached({ timeout: 2_000 });
  }).toPass({ timeout: 30_000 });
  await expectFewRows();
  await page.getByRole("textbox", { name: "Search clusters" }).fill("copy-04711");
  await page.getByText("1 of 10,000 clusters").waitFor();
  await page.getByRole("link", { name: "copy-04711", exact: true }).waitFor();
  expect(page.url()).toContain("q=copy-04711");
  await context.close();
});
