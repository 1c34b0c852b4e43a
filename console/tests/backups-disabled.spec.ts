/** The server of these tests takes no backups. */
import AxeBuilder from "@axe-core/playwright";
import { expect, STANDARD, test } from "./support/fixtures";

test("a cluster shows that the operator has turned off backups", async ({ page, server }) => {
  const { id } = await server.createCluster("is-not-backed-up", STANDARD);
  const title = "Backups are turned off";
  const reason = "The operator has turned off backups on this server";
  await page.goto(`/clusters/${id}/backups`);
  const backups = page.getByRole("region", { name: "Backups" });
  await backups.getByRole("heading", { name: title }).waitFor();
  await backups.getByText(reason).waitFor();
  await page.goto(`/clusters/${id}/overview`);
  await expect(page.getByRole("alert").filter({ hasText: title })).toContainText(reason);
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
});
