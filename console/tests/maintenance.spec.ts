import type { Locator, Page } from "@playwright/test";
import { formatUtcDateTime } from "../src/lib/format";
import { ADVANCED, choose, chooseAction, dialog, expect, row, signInAs, STANDARD, test } from "./support/fixtures";

const NOTE = "The settings are recorded. Ootheca doesn't schedule patches yet.";
const TABLE = "Blackout windows";

const path = (id: string) => `/api/v1/clusters/${id}`;
const region = (page: Page, name: string) => page.getByRole("region", { name });
const navigation = (page: Page) => page.getByRole("navigation", { name: "Cluster", exact: true });
const policy = (page: Page) => page.getByRole("combobox", { name: "Apply patches" });

/** A time of the day that is `days` from today, in UTC. */
const day = (days: number, time = "08:46:00") =>
  `${new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)}T${time}Z`;

/** The times of a blackout window without fractions of seconds, which the server adds. */
const timesOf = (window: { start_time: string; end_time: string }) => ({
  start_time: `${window.start_time.slice(0, 19)}Z`,
  end_time: `${window.end_time.slice(0, 19)}Z`,
});

/** What to type into an input for a time without seconds. */
const typed = (time: string) => time.slice(0, 16);

/** Submits a dialog, and returns the body of the request. */
async function submit(page: Page, edit: Locator, method: string, action: string): Promise<unknown> {
  const sent = page.waitForRequest((request) => request.method() === method);
  await edit.getByRole("button", { name: action }).click();
  return (await sent).postDataJSON();
}

test("the maintenance window can be set, edited, and deleted, also by other clients", async ({ page, server }) => {
  const { id } = await server.createCluster("gets-window", ADVANCED);
  const api = `${path(id)}/maintenance-window`;
  const section = region(page, "Maintenance window");
  await page.goto(`/clusters/${id}/overview`);
  await navigation(page).getByRole("link", { name: "Maintenance" }).click();
  await page.getByRole("heading", { level: 1, name: "Maintenance" }).waitFor();
  await page.getByText(NOTE).waitFor();
  await section.getByText("No maintenance window").waitFor();
  await section.getByRole("button", { name: "Set maintenance window" }).click();
  const set = dialog(page, "Set maintenance window");
  await choose(page, "Day", "Wednesday");
  await choose(page, "Time", "00:00");
  expect(await submit(page, set, "PUT", "Save")).toEqual({ offset_duration: "172800s", window_duration: "21600s" });
  await expect(set).toBeHidden();
  for (const text of ["Wednesday, 00:00 UTC", "Wednesday, 06:00 UTC", "6 hours"]) {
    await expect(section).toContainText(text);
  }

  await section.getByRole("button", { name: "Edit maintenance window" }).click();
  const edit = dialog(page, "Edit maintenance window");
  await expect(edit.getByRole("button", { name: "Save" })).toBeDisabled();
  await choose(page, "Day", "Sunday");
  await choose(page, "Time", "22:30");
  await choose(page, "Duration", "1 day");
  await edit.getByRole("button", { name: "Save" }).click();
  await section.getByRole("img", { name: "Every week from Sunday, 22:30 UTC to Monday, 22:30 UTC" }).waitFor();
  expect(await server.call("GET", api)).toEqual({ offset_duration: "599400s", window_duration: "86400s" });

  await server.call("PUT", api, { offset_duration: "1010s", window_duration: "101010s" });
  await expect(section).toContainText("1 day 4 hours 3 minutes 30 seconds");
  await section.getByRole("button", { name: "Edit maintenance window" }).click();
  await choose(page, "Day", "Tuesday");
  const body = await submit(page, dialog(page, "Edit maintenance window"), "PUT", "Save");
  expect(body, "the time and the duration stay exact").toEqual({
    offset_duration: "87410s",
    window_duration: "101010s",
  });
  await expect(section).toContainText("Tuesday, 00:16:50 UTC");

  await section.getByRole("button", { name: "Delete maintenance window" }).click();
  await dialog(page).getByRole("button", { name: "Delete maintenance window" }).click();
  await section.getByText("No maintenance window").waitFor();
  await expect(server.call("GET", api)).rejects.toThrow("404");
});

test("patches can be deferred, also by other clients", async ({ page, server }) => {
  const { id } = await server.createCluster("gets-deferral", ADVANCED);
  const api = `${path(id)}/version-deferral`;
  await page.goto(`/clusters/${id}/maintenance`);
  await expect(policy(page)).toHaveValue("As soon as they are released");
  await choose(page, "Apply patches", "90 days after their release");
  await page.getByText("Version deferral updated").waitFor();
  await expect(policy(page)).toHaveValue("90 days after their release");
  expect(await server.call("GET", api)).toMatchObject({ deferral_policy: "DEFERRAL_90_DAYS" });
  await server.call("PUT", api, { deferral_policy: "DEFERRAL_30_DAYS" });
  await expect(policy(page)).toHaveValue("30 days after their release");
});

test("the date of a deferred patch is shown", async ({ page, server }) => {
  const { id } = await server.createCluster("has-deferral", ADVANCED);
  // No patch is pending on the server yet, so its response has no date.
  const deferral = { deferral_policy: "FIXED_DEFERRAL", deferred_until: "2026-12-15T00:00:00Z" };
  await page.route(`**${path(id)}/version-deferral`, (route) => route.fulfill({ json: deferral }));
  await page.goto(`/clusters/${id}/maintenance`);
  await expect(region(page, "Version deferral")).toContainText("Dec 15, 2026, 00:00:00 UTC");
  await expect(policy(page)).toHaveValue("60 days after their release");
});

test("blackout windows can be created, edited, and deleted, also by other clients", async ({ page, server }) => {
  const { id } = await server.createCluster("gets-blackouts", ADVANCED);
  const api = `${path(id)}/blackout-windows`;
  const [start, end, later] = [day(10), day(12), day(13)];
  await page.goto(`/clusters/${id}/maintenance`);
  await page.getByText("No blackout windows").waitFor();
  await page.getByRole("button", { name: "Create blackout window" }).click();
  const create = dialog(page, "Create blackout window");
  await create.getByLabel("Start (UTC)").fill(typed(start));
  await create.getByLabel("End (UTC)").fill(typed(end));
  const created = await submit(page, create, "POST", "Create blackout window");
  expect(created).toEqual({ start_time: start, end_time: end });
  await expect(create).toBeHidden();
  await expect(row(page, TABLE, formatUtcDateTime(start))).toContainText(formatUtcDateTime(end));

  await chooseAction(page, formatUtcDateTime(start), "Edit");
  const edit = dialog(page, "Edit blackout window");
  await expect(edit.getByRole("button", { name: "Save" })).toBeDisabled();
  await edit.getByLabel("End (UTC)").fill(typed(later));
  expect(await submit(page, edit, "PATCH", "Save")).toEqual({ end_time: later });
  await expect(row(page, TABLE, formatUtcDateTime(start))).toContainText(formatUtcDateTime(later));

  const other = { start_time: day(20, "08:46:34"), end_time: day(21, "08:46:34") };
  await server.call("POST", api, other);
  await expect(row(page, TABLE, formatUtcDateTime(other.end_time))).toContainText(formatUtcDateTime(other.start_time));

  await chooseAction(page, formatUtcDateTime(start), "Delete blackout window");
  const confirm = dialog(page, "Delete blackout window?");
  await expect(confirm).toContainText(formatUtcDateTime(later));
  await confirm.getByRole("button", { name: "Delete blackout window" }).click();
  await expect(row(page, TABLE, formatUtcDateTime(start))).toHaveCount(0);
  const { blackout_windows: left } = await server.call("GET", api);
  expect(left.map(timesOf)).toEqual([other]);
  await server.call("DELETE", `${api}/${left[0].id}`);
  await page.getByText("No blackout windows").waitFor();
});

test("the seconds of a blackout window are kept", async ({ page, server }) => {
  const { id } = await server.createCluster("keeps-seconds", ADVANCED);
  const api = `${path(id)}/blackout-windows`;
  const times = { start_time: day(10, "08:46:34"), end_time: day(12, "08:46:34") };
  const { id: blackout } = await server.call("POST", api, times);
  await page.goto(`/clusters/${id}/maintenance`);
  await chooseAction(page, formatUtcDateTime(times.start_time), "Edit");
  const edit = dialog(page, "Edit blackout window");
  await expect(edit.getByLabel("Start (UTC)")).toHaveValue(times.start_time.slice(0, 19));
  const end_time = day(11, "20:15:00");
  await edit.getByLabel("End (UTC)").fill(typed(end_time));
  expect(await submit(page, edit, "PATCH", "Save")).toEqual({ end_time });
  await expect(edit).toBeHidden();
  expect(timesOf(await server.call("GET", `${api}/${blackout}`))).toEqual({ ...times, end_time });
});

test("the limits of blackout windows are stated, and errors of the server are shown", async ({ page, server }) => {
  const { id } = await server.createCluster("has-limits", ADVANCED);
  await page.goto(`/clusters/${id}/maintenance`);
  await page.getByRole("button", { name: "Create blackout window" }).click();
  const create = dialog(page, "Create blackout window");
  const [start, end] = [create.getByLabel("Start (UTC)"), create.getByLabel("End (UTC)")];
  await create.getByText("at least 7 days from now").waitFor();
  await create.getByText("at most 14 days later, and within three months from now").waitFor();
  await start.fill(typed(day(6)));
  await end.fill(typed(day(8)));
  await create.getByRole("button", { name: "Create blackout window" }).click();
  await expect(start).toHaveAttribute("aria-invalid", "true");
  await expect(end).not.toHaveAttribute("aria-invalid", "true");
  await start.fill(typed(day(10)));
  await end.fill(typed(day(25)));
  await expect(start).not.toHaveAttribute("aria-invalid", "true");
  await expect(end).toHaveAttribute("aria-invalid", "true");
  await start.fill(typed(day(95)));
  await end.fill(typed(day(97)));
  await create.getByRole("button", { name: "Create blackout window" }).click();
  await expect(create.getByRole("alert")).toContainText("end_time: must be at most 3 months from now");
  expect((await server.call("GET", `${path(id)}/blackout-windows`)).blackout_windows).toEqual([]);
});

test("clusters of other plans have no maintenance settings", async ({ page, server }) => {
  const { id } = await server.createCluster("has-no-window", STANDARD);
  await page.goto(`/clusters/${id}/maintenance`);
  await page.getByText("Only Advanced clusters have a maintenance window").waitFor();
  await expect(page.getByText(NOTE)).toHaveCount(0);
  await navigation(page).getByRole("link", { name: "Backup and restore" }).waitFor();
  await expect(navigation(page).getByRole("link", { name: "Maintenance" })).toHaveCount(0);
});

test("operators can edit the settings", async ({ page, context, server }) => {
  const { id } = await server.createCluster("has-operator", ADVANCED);
  await signInAs(context, server, "CLUSTER_OPERATOR_WRITER");
  await page.goto(`/clusters/${id}/maintenance`);
  await page.getByRole("button", { name: "Set maintenance window" }).click();
  await dialog(page).getByRole("button", { name: "Save" }).click();
  await expect(region(page, "Maintenance window")).toContainText("Sunday, 02:00 UTC");
  await page.getByRole("button", { name: "Create blackout window" }).click();
  await dialog(page).getByRole("button", { name: "Create blackout window" }).click();
  await page.getByText("Blackout window created").waitFor();
  await expect(policy(page)).toBeEnabled();
});

test("auditors can't edit the settings", async ({ page, context, server }) => {
  const { id } = await server.createCluster("has-auditor", ADVANCED);
  await server.call("PUT", `${path(id)}/maintenance-window`, { offset_duration: "0s", window_duration: "21600s" });
  const times = { start_time: day(10), end_time: day(12) };
  await server.call("POST", `${path(id)}/blackout-windows`, times);
  await signInAs(context, server, "AUDITOR");
  await page.goto(`/clusters/${id}/maintenance`);
  await expect(region(page, "Maintenance window")).toContainText("Monday, 00:00 UTC");
  await expect(row(page, TABLE, formatUtcDateTime(times.start_time))).toHaveCount(1);
  await expect(policy(page)).toBeDisabled();
  const buttons = page.getByRole("main").getByRole("button", { name: /maintenance window|blackout|Actions/ });
  await expect(buttons).toHaveCount(0);
});

test("the settings are hidden without permission", async ({ page, context, server }) => {
  const { id } = await server.createCluster("has-developer", ADVANCED);
  await signInAs(context, server, "CLUSTER_DEVELOPER");
  await page.goto(`/clusters/${id}/maintenance`);
  await expect(page.getByText("You don't have permission to view this")).toHaveCount(3);
  await expect(page.getByRole("table", { name: TABLE })).toHaveCount(0);
  await expect(policy(page)).toHaveCount(0);
});
