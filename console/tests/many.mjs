// Ten thousand clusters in the list: only what is on the screen is in the document, the last one is in reach,
// and a search answers.
import { check, run } from "./harness.mjs";

const rows = (page) => page.getByRole("table", { name: "Clusters" }).getByRole("row");

run({
  "they are listed, scrolled and searched": async ({ page }) => {
    await page.goto("/clusters");
    await page.getByText("10,000 clusters", { exact: true }).waitFor({ timeout: 60_000 });
    const table = page.getByRole("table", { name: "Clusters" });
    check((await table.getAttribute("aria-rowcount")) === "10001", "the table says another count");
    const drawn = async () => check((await rows(page).count()) < 100, `${await rows(page).count()} rows are drawn`);
    await drawn();
    await page.getByRole("link", { name: "copy-00001", exact: true }).waitFor();
    const end = () => page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    const last = page.getByRole("link", { name: "many-00000", exact: true });
    // Heights are estimates until rows have been seen, so the end may move once.
    await end();
    await last.waitFor({ state: "attached" }).catch(end);
    await last.waitFor({ state: "attached" });
    await drawn();
    await page.getByRole("textbox", { name: "Search clusters" }).fill("copy-04711");
    await page.getByText("1 of 10,000 clusters").waitFor();
    await page.getByRole("link", { name: "copy-04711", exact: true }).waitFor();
    check(page.url().includes("q=copy-04711"), "the search is not part of the address");
  },
});
