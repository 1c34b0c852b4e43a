// Every page that isn't about a single cluster, how much the first load is, and the content security policy.
import { expect, settled } from "./support/fixtures";
import { checkPage, test as base, type Case } from "./support/pages";

const test = base.extend<object, { objects: void }>({
  objects: [
    async ({ server }, use) => {
      const expires_at = new Date(Date.now() + 3 * 86_400_000).toISOString();
      await server.createCluster("looked-at");
      await server.createCluster("deletes-itself", undefined, { expires_at });
      await server.call("POST", "/api/v1/folders", { name: "teams", parent_id: "" });
      await server.call("POST", "/api/v1/service-accounts", { name: "robot", description: "deploys", roles: [] });
      await server.invite("bob@example.com", ["CLUSTER_DEVELOPER"]);
      await use();
    },
    { scope: "worker", auto: true },
  ],
});

const SIGNED_OUT: Case[] = [
  { name: "sign-in", path: "/sign-in" },
  { name: "link", path: "/link#token" },
  { name: "incomplete link", path: "/link" },
];

const SIGNED_IN: Case[] = [
  {
    name: "clusters",
    path: "/clusters",
    prepare: async (page) => {
      await page.getByRole("table", { name: "Clusters" }).getByText("Expires in").waitFor();
    },
  },
  { name: "create cluster", path: "/clusters/new" },
  { name: "access", path: "/access" },
  { name: "service accounts", path: "/access/service-accounts" },
  { name: "groups", path: "/access/groups" },
  { name: "folders", path: "/folders" },
  { name: "organization", path: "/organization" },
  { name: "audit log", path: "/audit" },
  { name: "API explorer", path: "/explorer" },
  { name: "not found", path: "/nowhere/at/all" },
];

test.describe("signed out", () => {
  test.use({ signedIn: false });

  for (const checked of SIGNED_OUT) {
    test(`${checked.name} is accessible and fits a narrow screen`, ({ page }) => checkPage(page, checked));
  }
});

for (const checked of SIGNED_IN) {
  test(`${checked.name} is accessible and fits a narrow screen`, ({ tab }) => checkPage(tab, checked));
}

test("the first load is small", async ({ page, context }) => {
  const session = await context.newCDPSession(page);
  await session.send("Network.enable");
  const names = new Map<string, string>();
  const loaded: { name: string; bytes: number }[] = [];
  session.on("Network.responseReceived", ({ requestId, response }) => {
    names.set(requestId, new URL(response.url).pathname);
  });
  session.on("Network.loadingFinished", ({ requestId, encodedDataLength: bytes }) => {
    loaded.push({ name: names.get(requestId) ?? "", bytes });
  });
  await page.goto("/");
  await settled(page);
  await page.getByRole("link", { name: "looked-at" }).first().waitFor();
  const total = loaded.reduce((sum, { bytes }) => sum + bytes, 0);
  const largest = loaded.sort((one, other) => other.bytes - one.bytes).map(({ name, bytes }) => `${bytes} ${name}`);
  expect(total, largest.join("\n")).toBeGreaterThan(20_000);
  expect(total, largest.join("\n")).toBeLessThan(300_000);
});

test.describe("content security policy", () => {
  test.use({ expectedErrors: /Content Security Policy/ });

  test("inline scripts don't run", async ({ page }) => {
    await page.goto("/");
    await settled(page);
    const violated = await page.evaluate(
      () =>
        new Promise<string>((resolve) => {
          addEventListener("securitypolicyviolation", ({ violatedDirective }) => resolve(violatedDirective));
          const script = document.createElement("script");
          script.textContent = 'document.title = "run"';
          document.head.append(script);
          setTimeout(() => resolve("nothing"), 5000);
        }),
    );
    expect(violated).toMatch(/^script-src/);
  });
});
