// Restarts of the server, ended sessions, missing permissions, and a slow network.
import type { Page, Route } from "@playwright/test";
import { expect, PASSWORD, signIn, test } from "./support/fixtures";

const PEOPLE = "/api/ootheca/v1/people";
const SESSIONS = "/api/ootheca/v1/sessions";
/** What Chromium logs about a server that is down. */
const SERVER_DOWN =
  /net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE)|status of 50[234]/;

const live = (page: Page) => page.getByRole("complementary").getByText("Live", { exact: true }).waitFor();

test.describe("restarting the server", () => {
  test.use({ expectedErrors: SERVER_DOWN });

  test("an open page survives", async ({ page, server }) => {
    await page.goto("/explorer?operation=ListClusters");
    await live(page);
    const send = page.getByRole("button", { name: "Send", exact: true });
    await send.waitFor();
    await server.terminate();
    await page.getByText("Reconnecting…", { exact: true }).waitFor();
    await send.click();
    const banner = page.getByText("It may be restarting.");
    await banner.waitFor();
    await expect(page.getByRole("heading", { level: 1, name: "API explorer" })).toBeVisible();
    await server.run();
    await expect(banner).toBeHidden();
    await live(page);
    await send.click();
    await page.getByRole("region", { name: "Response" }).getByText("200 OK").waitFor();
  });

  test("changes made in the meantime appear", async ({ page, server }) => {
    await page.goto("/clusters");
    await live(page);
    await server.terminate();
    await page.getByText("Reconnecting…", { exact: true }).waitFor();
    await server.run();
    await server.createCluster("created-later");
    await page.getByRole("link", { name: "created-later" }).first().waitFor({ timeout: 25_000 });
  });
});

test.describe("signed-out users", () => {
  test.use({ signedIn: false });

  test("an ended session leads to the sign-in page and back", async ({ page, server }) => {
    await server.createUser("eve@example.com", ["CLUSTER_ADMIN"]);
    await page.goto("/sign-in");
    await signIn(page, "eve@example.com", PASSWORD);
    await page.waitForURL("**/clusters");
    await page.goto("/organization");
    await live(page);
    const id = await page.evaluate(async () => {
      const response = await fetch("/api/ootheca/v1/session");
      return ((await response.json()) as { session: { id: string } }).session.id;
    });
    // The session ends after the click, because the page leaves by itself as soon as it learns of the end from events.
    const endSession = async (route: Route) => {
      await server.call("DELETE", `${SESSIONS}/${id}`);
      await route.continue();
    };
    await page.route("**/api/v1/clusters?*", endSession, { times: 1 });
    await page.getByRole("link", { name: "Clusters" }).click();
    await page.getByText("Your session has ended").waitFor({ timeout: 25_000 });
    await signIn(page, "eve@example.com", PASSWORD);
    await page.waitForURL("**/clusters");
    await live(page);
  });

  test("a removed user is signed out immediately", async ({ page, server }) => {
    const email = "mallory@example.com";
    await server.createUser(email, ["CLUSTER_ADMIN"]);
    await page.goto("/sign-in");
    await signIn(page, email, PASSWORD);
    await page.waitForURL("**/clusters");
    await live(page);
    const { people } = await server.call("GET", PEOPLE);
    const { id } = people.find((person: { email: string }) => person.email === email);
    await server.call("DELETE", `${PEOPLE}/${id}`);
    await page.waitForURL("**/sign-in**", { timeout: 25_000 });
  });

  test("missing permissions are explained", async ({ page, server }) => {
    const email = "viewer@example.com";
    await server.createUser(email, ["CLUSTER_DEVELOPER"]);
    await page.goto("/sign-in");
    await signIn(page, email, PASSWORD);
    await page.waitForURL("**/clusters");
    await page.goto("/explorer?operation=CreateServiceAccount");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByRole("region", { name: "Response" }).getByText("403 Forbidden").waitFor();
    await page.goto("/access");
    await expect(page.getByRole("alert").filter({ hasText: "You don't have permission" }).first()).toBeVisible();
  });
});

test("a page loads over a slow network", async ({ page, context, server }) => {
  await server.createCluster("loads-slowly");
  const session = await context.newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: 400,
    downloadThroughput: 100_000,
    uploadThroughput: 50_000,
  });
  await page.goto("/clusters", { waitUntil: "commit" });
  await page.getByRole("heading", { level: 1, name: "Clusters" }).waitFor();
  await page.getByRole("link", { name: "loads-slowly" }).first().waitFor();
});
