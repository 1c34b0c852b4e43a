// Every page of a cluster, and its dialogs.
import { ADVANCED, choose, dialog, STANDARD } from "./support/fixtures";
import { checkPage, test as base, type Case } from "./support/pages";

interface Paths {
  /** The path of a cluster that has what its pages show. */
  cluster: string;
  /** The path of a Standard cluster with two backups, one of which was restored. Its backup schedule can be edited. */
  standard: string;
  /** The path of an Advanced cluster with maintenance settings and a backup. */
  advanced: string;
  /** The path of an Advanced cluster without maintenance settings. */
  unset: string;
  /** The path of a cluster that expires. */
  expiring: string;
  /** The path of a clone that couldn't be created. */
  failed: string;
}

const API = "/api/v1/clusters";

const test = base.extend<object, { paths: Paths }>({
  paths: [
    async ({ server }, use) => {
      const day = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();
      const { id } = await server.createCluster("looked-at");
      const standard = await server.createCluster("scheduled", STANDARD);
      const advanced = await server.createCluster("maintained", ADVANCED);
      const unset = await server.createCluster("unmaintained", ADVANCED);
      const expiring = await server.createCluster("deletes-itself", undefined, { expires_at: day(3) });
      // The simulated engine runs no SQL.
      const restore_from = { source_cluster_id: id, masking_sql: "SELECT 1" };
      const failed = await server.call("POST", API, { name: "not-cloned", restore_from });
      const { id: backup } = await server.firstBackup(standard.id);
      await server.nextBackup(standard.id);
      await server.restore(standard.id, backup);
      const settings = `${API}/${advanced.id}`;
      const window = { offset_duration: "597600s", window_duration: "21600s" };
      await server.call("PUT", `${settings}/maintenance-window`, window);
      await server.call("POST", `${settings}/blackout-windows`, { start_time: day(10), end_time: day(12) });
      const objects = `${API}/${id}`;
      await server.call("POST", `${objects}/sql-users`, { name: "keeper", password: "correct horse battery" });
      await server.call("POST", `${objects}/databases`, { name: "shop" });
      await use({
        cluster: `/clusters/${id}`,
        standard: `/clusters/${standard.id}`,
        advanced: `/clusters/${advanced.id}`,
        unset: `/clusters/${unset.id}`,
        expiring: `/clusters/${expiring.id}`,
        failed: `/clusters/${failed.id}`,
      });
    },
    { scope: "worker" },
  ],
});

test.use({ backups: true });

/** The paths start with the name of one of `Paths`, in capital letters. */
const CASES: Case[] = [
  { name: "overview", path: "CLUSTER/overview" },
  {
    name: "overview of a cluster that expires",
    path: "EXPIRING/overview",
    prepare: (page) => page.getByRole("main").getByText("Expires in").waitFor(),
  },
  {
    name: "overview of a clone that couldn't be created",
    path: "FAILED/overview",
    prepare: (page) => page.getByText("Couldn't create this cluster").waitFor(),
  },
  {
    name: "connect",
    path: "CLUSTER/overview",
    prepare: async (page) => {
      await page.getByRole("main").getByRole("button", { name: "Connect" }).first().click();
      await dialog(page).getByText("Download the CA certificate").waitFor();
    },
  },
  {
    name: "edit limits",
    path: "CLUSTER/overview",
    prepare: async (page) => {
      await page.getByRole("button", { name: "Edit capacity" }).click();
      await dialog(page).getByRole("switch", { name: "Limit request units" }).click();
    },
  },
  { name: "SQL users", path: "CLUSTER/users" },
  { name: "databases", path: "CLUSTER/databases" },
  { name: "SQL shell", path: "CLUSTER/sql" },
  { name: "networking", path: "CLUSTER/networking" },
  { name: "backup and restore", path: "CLUSTER/backups" },
  {
    name: "backups and restores",
    path: "STANDARD/backups",
    prepare: async (page) => {
      await page.getByRole("button", { name: "Restore the backup of" }).first().waitFor();
      await page.getByRole("slider", { name: "Timeline" }).waitFor();
      await page.getByRole("table", { name: "Restores" }).getByText("Succeeded").waitFor();
    },
  },
  {
    name: "restore backup",
    path: "STANDARD/backups",
    prepare: async (page) => {
      await page.getByRole("button", { name: "Restore the backup of" }).first().click();
      await dialog(page).getByText("is erased").waitFor();
    },
  },
  {
    name: "restore databases",
    path: "ADVANCED/backups",
    prepare: async (page) => {
      await page.getByRole("button", { name: "Restore the backup of" }).first().click();
      await dialog(page).getByRole("radio", { name: "Databases" }).click();
      await dialog(page).getByRole("combobox", { name: "Databases to restore" }).fill("shop");
      await page.keyboard.press("Tab");
      await dialog(page).getByRole("textbox", { name: "New name" }).fill("not a name");
    },
  },
  {
    name: "restore tables",
    path: "ADVANCED/backups",
    prepare: async (page) => {
      await page.getByRole("button", { name: "Restore the backup of" }).first().click();
      await dialog(page).getByRole("radio", { name: "Tables" }).click();
      await dialog(page).getByRole("combobox", { name: "Tables to restore" }).fill("orders");
      await page.keyboard.press("Enter");
    },
  },
  {
    name: "clone",
    path: "STANDARD/backups",
    prepare: async (page) => {
      await page.getByRole("button", { name: "Clone the backup of" }).first().click();
      await choose(page, "Expires", "At another time");
      await dialog(page).getByRole("switch", { name: "Run SQL" }).click();
      await dialog(page).getByRole("textbox", { name: "SQL", exact: true }).fill("DELETE FROM customers");
    },
  },
  {
    name: "edit backup schedule",
    path: "STANDARD/backups",
    prepare: async (page) => {
      await page.getByRole("button", { name: "Edit schedule" }).click();
      await choose(page, "Retention", "7 days");
      await page.getByText("you can't change the retention").waitFor();
    },
  },
  {
    name: "maintenance",
    path: "ADVANCED/maintenance",
    prepare: async (page) => {
      await page.getByRole("img", { name: "Every week from Sunday, 22:00 UTC to Monday, 04:00 UTC" }).waitFor();
      await page.getByRole("table", { name: "Blackout windows" }).getByText("UTC").first().waitFor();
    },
  },
  { name: "maintenance of another plan", path: "CLUSTER/maintenance" },
  { name: "maintenance without settings", path: "UNSET/maintenance" },
  {
    name: "edit maintenance window",
    path: "ADVANCED/maintenance",
    prepare: async (page) => {
      await page.getByRole("button", { name: "Edit maintenance window" }).click();
      await choose(page, "Time", "03:30");
    },
  },
  {
    name: "create blackout window",
    path: "ADVANCED/maintenance",
    prepare: async (page) => {
      await page.getByRole("button", { name: "Create blackout window" }).click();
      const create = dialog(page);
      await create.getByLabel("Start (UTC)").fill("2020-01-01T00:00");
      await create.getByRole("button", { name: "Create blackout window" }).click();
      await create.locator("[aria-invalid=true]").first().waitFor();
    },
  },
  { name: "metrics", path: "CLUSTER/metrics" },
];

for (const { name, path, prepare } of CASES) {
  test(`${name} is accessible and fits a narrow screen`, async ({ tab, paths }) => {
    const opened = path.replace(/^[A-Z]+/, (key) => paths[key.toLowerCase() as keyof Paths]);
    await checkPage(tab, { path: opened, prepare });
  });
}
