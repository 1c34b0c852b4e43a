import { chooseAction, dialog, expect, row, test } from "./support/fixtures";

test("networks can be added and deleted, and the current one is known", async ({ page, server }) => {
  const { id } = await server.createCluster("has-allowlist");
  await page.goto(`/clusters/${id}/networking`);
  await page.getByText("Open to all addresses").waitFor();
  await page.getByRole("button", { name: "Add network" }).first().click();
  const add = dialog(page, "Add network");
  await add.getByText("Current network", { exact: true }).click();
  await expect(add.getByRole("textbox", { name: "Network" })).toHaveValue("127.0.0.1/32");
  await add.getByRole("textbox", { name: "Name" }).fill("this computer");
  await add.getByRole("button", { name: "Add network" }).click();
  await row(page, "Allowlist", "this computer").getByText("Your address").waitFor();
  await chooseAction(page, "0.0.0.0/0", "Delete network");
  await dialog(page, "Delete 0.0.0.0/0?").getByRole("button", { name: "Delete network" }).click();
  await expect(page.getByText("Open to all addresses")).toHaveCount(0);
  const { allowlist } = await server.call("GET", `/api/v1/clusters/${id}/networking/allowlist`);
  expect(allowlist).toMatchObject([{ cidr_ip: "127.0.0.1", cidr_mask: 32, name: "this computer" }]);
});

test("blocking all SQL clients requires confirmation", async ({ page, server }) => {
  const { id } = await server.createCluster("blocks-all");
  await page.goto(`/clusters/${id}/networking`);
  const toggle = page.getByRole("switch", { name: "SQL from 0.0.0.0/0" });
  await toggle.click({ force: true });
  const confirm = dialog(page, "Update 0.0.0.0/0?");
  await confirm.getByText("SQL clients won't be able to connect").waitFor();
  await confirm.getByRole("button", { name: "Update network" }).click();
  await expect(confirm).toBeHidden();
  await expect(toggle).not.toBeChecked();
});
