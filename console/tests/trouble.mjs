// What goes wrong: the server goes away, a session ends, something is refused, the network is slow.
import { ask, call, check, cluster, password, person, run } from "./harness.mjs";

const PEOPLE = "/api/ootheca/v1/people";
const SESSIONS = "/api/ootheca/v1/sessions";
// What Chromium itself writes about a server that is not there.
const away = [
  /net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE)/,
  /status of 50[234]/,
];

async function signedIn(page) {
  return page.evaluate(async () => (await (await fetch("/api/ootheca/v1/session")).json()).session.id);
}

async function signIn(page, address) {
  await page.getByRole("textbox", { name: "E-mail address" }).fill(address);
  await page.getByRole("textbox", { name: "Password" }).fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

const live = (page) => page.getByRole("complementary").getByText("Live", { exact: true }).waitFor();

run(
  {
    "the server restarts under an open page": [
      { tolerated: away },
      async ({ page }) => {
        await page.goto("/explorer?operation=ListClusters");
        await live(page);
        const send = page.getByRole("button", { name: "Send", exact: true });
        await send.waitFor();
        await ask("stop");
        await page.getByText("Reconnecting…").waitFor();
        await send.click();
        await page.getByText("The server does not answer").waitFor();
        check(await page.getByRole("heading", { level: 1, name: "API explorer" }).isVisible(), "the page is gone");
        await ask("start");
        await page.getByText("The server does not answer").waitFor({ state: "hidden" });
        await live(page);
        await send.click();
        await page.getByRole("region", { name: "Response" }).getByText("200 OK").waitFor();
      },
    ],
    "a page that was left open shows what changed meanwhile": [
      { tolerated: away },
      async ({ page }) => {
        await page.goto("/clusters");
        await live(page);
        await ask("stop");
        await page.getByText("Reconnecting…").waitFor();
        await ask("start");
        const { name } = await cluster("came-after");
        await page.getByRole("link", { name }).first().waitFor({ timeout: 25_000 });
      },
    ],
    "a session that was ended leads to the sign-in page and back": [
      { as: null },
      async ({ page }) => {
        await person("eve@example.com", ["CLUSTER_ADMIN"]);
        await page.goto("/sign-in");
        await signIn(page, "eve@example.com");
        await page.waitForURL("**/clusters");
        await page.goto("/organization?q=kept");
        await live(page);
        await call("DELETE", `${SESSIONS}/${await signedIn(page)}`);
        await page.getByRole("link", { name: "Clusters" }).click();
        await page.getByText("Your session has ended").waitFor({ timeout: 25_000 });
        await signIn(page, "eve@example.com");
        await page.waitForURL((url) => url.pathname !== "/sign-in");
        await live(page);
      },
    ],
    "somebody who was removed is out at once": [
      { as: null },
      async ({ page }) => {
        await person("mallory@example.com", ["CLUSTER_ADMIN"]);
        await page.goto("/sign-in");
        await signIn(page, "mallory@example.com");
        await page.waitForURL("**/clusters");
        await live(page);
        const { people } = await call("GET", PEOPLE);
        await call("DELETE", `${PEOPLE}/${people.find((person) => person.email === "mallory@example.com").id}`);
        await page.waitForURL("**/sign-in**", { timeout: 25_000 });
      },
    ],
    "what a person may not do is refused in words": [
      { as: null },
      async ({ page }) => {
        await person("viewer@example.com", ["CLUSTER_DEVELOPER"]);
        await page.goto("/sign-in");
        await signIn(page, "viewer@example.com");
        await page.waitForURL("**/clusters");
        await page.goto("/explorer?operation=CreateServiceAccount");
        await page.getByRole("button", { name: "Send", exact: true }).click();
        await page.getByRole("region", { name: "Response" }).getByText("403").waitFor();
        await page.goto("/access");
        await page.getByRole("alert").filter({ hasText: "You may not do or see this" }).first().waitFor();
      },
    ],
    "a slow network shows what it waits for, and then the page": async ({ page, context }) => {
      const session = await context.newCDPSession(page);
      await session.send("Network.enable");
      await session.send("Network.emulateNetworkConditions", {
        offline: false,
        latency: 400,
        downloadThroughput: 100_000,
        uploadThroughput: 50_000,
      });
      await page.goto("/clusters", { waitUntil: "commit" });
      await page.getByRole("heading", { level: 1, name: "Clusters" }).waitFor({ timeout: 30_000 });
      await page.getByRole("link", { name: "came-after" }).first().waitFor({ timeout: 30_000 });
    },
  },
  { recover: () => ask("start") },
);
