// What holds for every page: nothing that axe finds, in light and in dark; no scrolling to the side at 375 px;
// nothing of a third party, nothing against the content security policy (the harness looks at both).
import AxeBuilder from "@axe-core/playwright";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { call, check, cluster, invite, run } from "./harness.mjs";

let made;
const inside = (page) => `/clusters/${made.id}/${page}`;

/** Loaded, drawn, and standing still. */
async function settled(page) {
  await page.locator("h1").first().waitFor({ state: "attached" });
  await page.waitForFunction(
    () =>
      !document.querySelector(".mantine-Skeleton-root[data-visible], .mantine-Loader-root") &&
      document.getAnimations().every((animation) => animation.playState !== "running"),
  );
}

async function accessible(page, what) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map(
    ({ id, help, nodes }) =>
      `${id}: ${help}\n${nodes
        .slice(0, 4)
        .map(({ html, failureSummary }) => `    ${html}\n    ${failureSummary}`)
        .join("\n")}`,
  );
  return found.map((text) => `${what}: ${text}`);
}

/** Mantine's classes by their generated names; src/mantine.css brings the styles of only those in use. */
const styled = new Set(
  readFileSync(createRequire(import.meta.url).resolve("@mantine/core/styles.css"), "utf8").match(/(?<=\.)m_[0-9a-f]+/g),
);

async function unstyled(page) {
  const [used, loaded] = await page.evaluate(() => {
    const classes = [...document.querySelectorAll('[class*="m_"]')].flatMap((element) => [...element.classList]);
    const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules].map((rule) => rule.cssText));
    return [classes.filter((name) => name.startsWith("m_")), rules.join().match(/(?<=\.)m_[0-9a-f]+/g) ?? []];
  });
  const missing = [...new Set(used)].filter((name) => styled.has(name) && !loaded.includes(name));
  return missing.map((name) => `src/mantine.css lacks the styles of .${name}`);
}

async function narrow(page) {
  const [wide, inner] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  return wide > inner ? [`at ${inner} px it is ${wide} px wide`] : [];
}

const looks = (path, { then, until, ...options } = {}) => [
  options,
  async ({ page }) => {
    await page.goto(typeof path === "function" ? path() : path);
    await settled(page);
    await then?.(page);
    await until?.(page);
    await settled(page);
    const findings = [...(await unstyled(page)), ...(await accessible(page, "light"))];
    await page.emulateMedia({ colorScheme: "dark" });
    await page.locator('html[data-mantine-color-scheme="dark"]').waitFor();
    await settled(page);
    findings.push(...(await accessible(page, "dark")));
    await page.setViewportSize({ width: 375, height: 720 });
    await settled(page);
    findings.push(...(await narrow(page)));
    check(findings.length === 0, findings.join("\n"));
  },
];

const steps = {
  "the first load is small": async ({ page, context }) => {
    const session = await context.newCDPSession(page);
    await session.send("Network.enable");
    const paths = new Map();
    const loaded = [];
    session.on("Network.responseReceived", ({ requestId, response }) =>
      paths.set(requestId, new URL(response.url).pathname),
    );
    session.on("Network.loadingFinished", ({ requestId, encodedDataLength: bytes }) =>
      loaded.push({ path: paths.get(requestId), bytes }),
    );
    await page.goto("/");
    await settled(page);
    await page.getByRole("link", { name: made.name }).first().waitFor();
    const sum = loaded.reduce((sum, { bytes }) => sum + bytes, 0);
    const largest = loaded.sort((one, other) => other.bytes - one.bytes).map(({ path, bytes }) => `${bytes} ${path}`);
    check(sum > 20_000 && sum < 300_000, `the first load takes ${sum} bytes:\n${largest.join("\n")}`);
  },
  "scripts of strangers do not run": async ({ page, offences }) => {
    await page.goto("/");
    await settled(page);
    const refused = await page.evaluate(
      () =>
        new Promise((resume) => {
          addEventListener("securitypolicyviolation", ({ violatedDirective }) => resume(violatedDirective));
          const script = document.createElement("script");
          script.textContent = 'document.title = "run"';
          document.head.append(script);
          setTimeout(() => resume("nothing"), 5000);
        }),
    );
    check(refused.startsWith("script-src"), `an inline script was stopped by ${refused}`);
    offences.length = 0;
  },
  "sign-in": looks("/sign-in", { as: null }),
  link: looks("/link#nothing", { as: null }),
  clusters: looks("/clusters"),
  "create a cluster": looks("/clusters/new"),
  overview: looks(() => inside("overview")),
  connect: looks(() => inside("overview"), {
    then: (page) => page.getByRole("main").getByRole("button", { name: "Connect" }).first().click(),
    until: (page) => page.getByRole("dialog").getByText("Get the certificate").waitFor(),
  }),
  "SQL users": looks(() => inside("users")),
  databases: looks(() => inside("databases")),
  "SQL shell": looks(() => inside("sql")),
  networking: looks(() => inside("networking")),
  metrics: looks(() => inside("metrics")),
  access: looks("/access"),
  "service accounts": looks("/access/service-accounts"),
  groups: looks("/access/groups"),
  folders: looks("/folders"),
  organization: looks("/organization"),
  "audit log": looks("/audit"),
  "API explorer": looks("/explorer"),
  nowhere: looks("/nowhere/at/all"),
};

run(steps, {
  before: async () => {
    made = await cluster("looked-at");
    await call("POST", `/api/v1/clusters/${made.id}/sql-users`, { name: "keeper", password: "correct horse battery" });
    await call("POST", `/api/v1/clusters/${made.id}/databases`, { name: "shop" });
    await call("POST", "/api/v1/folders", { name: "teams", parent_id: "" });
    await call("POST", "/api/v1/service-accounts", { name: "robot", description: "deploys", roles: [] });
    await invite("bob@example.com", ["CLUSTER_DEVELOPER"]);
  },
});
