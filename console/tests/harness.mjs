// What the browser tests share: one browser for a file, a fresh profile for each step, and a look at what
// a page must never do. Started by tests/it/console/, which runs the server and does what a step asks of it
// on a line of its output.
import { chromium } from "playwright-core";
import { mkdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const base = process.env.OOTHECA_SERVER;
export const key = process.env.OOTHECA_API_KEY;
export const email = "ada@example.com";
export const password = "correct horse battery";

const failures = fileURLToPath(new URL("../../target/console-failures", import.meta.url));
let answers;
// Debian's start script writes a line of its own to the standard error; that is no finding.
const launch = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
  ],
};

export const openBrowser = () => chromium.launch(launch);

/** Asks the Rust side to do something with the server, and waits until it is done. */
export async function ask(what) {
  answers ??= createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  console.log(`ASK ${what}`);
  const { value } = await answers.next();
  if (!value?.startsWith("DONE")) throw new Error(`${what}: ${value}`);
  return value.slice(5);
}

/** Calls the API beside the browser, as the administrator's key or as `as`. */
export async function call(method, path, body, as = key) {
  const answer = await fetch(base + path, {
    method,
    headers: { authorization: `Bearer ${as}`, "cc-version": "2024-09-16", "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : {};
}

/** A link for a new person, or a person with a password at once. */
export async function invite(address, roles) {
  return (await call("POST", "/api/ootheca/v1/invitations", { email: address, roles })).link_token;
}

export async function person(address, roles) {
  const link_token = await invite(address, roles);
  const answer = await fetch(`${base}/api/ootheca/v1/session`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ link_token, password }),
  });
  check(answer.ok, `${address} comes in: ${answer.status}`);
}

export async function cluster(name, more = {}) {
  const made = await call("POST", "/api/v1/clusters", {
    name,
    provider: "GCP",
    spec: { plan: "BASIC", serverless: { regions: ["us-central1"] } },
    ...more,
  });
  return until(`${name} is made`, async () => {
    const found = await call("GET", `/api/v1/clusters/${made.id}`);
    return found.state === "CREATED" ? found : undefined;
  });
}

export function check(holds, what) {
  if (!holds) throw new Error(what);
}

/** Polls until `look` gives something. */
export async function until(what, look, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((resume) => setTimeout(resume, 50));
  }
}

/** The cookies of somebody who is signed in; kept, so that only one step goes through the form. */
const signedIn = new Map();
export async function storage(address = email) {
  if (!signedIn.has(address)) {
    const answer = await fetch(`${base}/api/ootheca/v1/session`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ email: address, password }),
    });
    check(answer.ok, `${address} signs in: ${answer.status} ${await answer.clone().text()}`);
    const [name, value] = answer.headers.get("set-cookie").split(";")[0].split("=");
    const { hostname } = new URL(base);
    const cookie = {
      name,
      value,
      domain: hostname,
      path: "/",
      expires: -1,
      httpOnly: true,
      secure: false,
      sameSite: "Strict",
    };
    signedIn.set(address, { cookies: [cookie], origins: [] });
  }
  return structuredClone(signedIn.get(address));
}
export const forget = (address = email) => signedIn.delete(address);

/** What a page does that no page may: it is collected here, and a step fails over it at its end. */
function watch(context, offences, tolerated) {
  const tolerable = (text) => tolerated.some((pattern) => pattern.test(text));
  const note = (text) => tolerable(text) || offences.push(text);
  context.on("console", (message) => {
    // That the server refused something is not the page's fault; steps check what the page makes of it.
    const refusal = /^Failed to load resource: the server responded with a status of 4/.test(message.text());
    if (message.type() === "error" && !refusal) note(`console: ${message.text()} (${message.location().url})`);
  });
  context.on("weberror", ({ error }) => note(`exception: ${error().stack}`));
  context.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${base}/`) && !/^(data|blob|about):/.test(url)) note(`third party: ${url}`);
  });
}

/** A page for somebody, watched. `as: null` is nobody. */
export async function open(browser, path, options = {}) {
  const { as = email, tolerated = [], ...more } = options;
  const context = await browser.newContext({
    baseURL: base,
    viewport: { width: 1280, height: 800 },
    reducedMotion: "reduce",
    storageState: as === null ? undefined : await storage(as),
    ...more,
  });
  context.setDefaultTimeout(30_000);
  const offences = [];
  watch(context, offences, tolerated);
  const page = await context.newPage();
  if (path !== null) await page.goto(path);
  return { context, page, offences };
}

/**
 * Runs the steps of a file one after the other, each with a page of its own. A step may be `[options, function]`,
 * with the options of `open` and `path`. A name behind the file runs that step only.
 */
export async function run(steps, { before, recover } = {}) {
  const only = process.argv[2];
  const browser = await openBrowser();
  let failed = 0;
  try {
    await before?.();
    for (const [name, step] of Object.entries(steps)) {
      if (only && only !== name) continue;
      const [options, body] = Array.isArray(step) ? step : [{}, step];
      const started = Date.now();
      const { path = null, ...more } = options;
      const opened = await open(browser, path, more);
      try {
        await body({ ...opened, browser });
        if (opened.offences.length) throw new Error(`offences:\n  ${opened.offences.join("\n  ")}`);
        console.log(`ok ${name} (${Date.now() - started} ms)`);
      } catch (error) {
        failed += 1;
        console.log(`failed ${name}: ${plain(error.stack)}`);
        if (opened.offences.length) console.log(`  offences:\n  ${opened.offences.join("\n  ")}`);
        await picture(opened.page, name);
        await recover?.();
      }
      await opened.context.close();
    }
  } catch (error) {
    failed += 1;
    console.log(`failed: ${error.stack}`);
  }
  await browser.close();
  process.exit(failed ? 1 : 0);
}

const plain = (text) => text.replaceAll(/\x1b\[\d+m/g, "");

/** What a failed step saw. */
async function picture(page, name) {
  try {
    mkdirSync(failures, { recursive: true });
    const file = `${failures}/${name.replaceAll(/\W+/g, "-")}.png`;
    await page.screenshot({ path: file });
    console.log(`  seen at ${page.url()}: ${file}\n${(await page.locator("body").ariaSnapshot()).slice(-6000)}`);
  } catch (error) {
    console.log(`  and no picture: ${error.message}`);
  }
}
