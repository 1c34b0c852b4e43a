// A server for the browser tests and the screenshots: in its own folder, on free ports, and gone afterwards.
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const API_VERSION = "2026-09-15";
export const PASSWORD = "correct horse battery";

const PROGRAM = process.env.OOTHECA_PROGRAM ?? fileURLToPath(new URL("../../../target/debug/ootheca", import.meta.url));
const START_TIMEOUT_MS = 60_000;

/**
 * Polls until `look` returns something.
 * @template T
 * @param {string} what
 * @param {() => Promise<T | undefined | false | null> | T | undefined | false | null} look
 * @param {number} [milliseconds]
 * @returns {Promise<T>}
 */
export async function eventually(what, look, milliseconds = 20_000) {
  const end = Date.now() + milliseconds;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${milliseconds} ms: ${what}`);
    await new Promise((resume) => setTimeout(resume, 50));
  }
}

/** The API of a server, called with the administrator's key. */
export class Api {
  /**
   * @param {string} url
   * @param {string} key
   */
  constructor(url, key) {
    this.url = url;
    this.key = key;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @param {string} [key]
   * @returns {Promise<any>}
   */
  async call(method, path, body, key = this.key) {
    const response = await this.fetch(method, path, body, { authorization: `Bearer ${key}` });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : {};
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @param {Record<string, string>} [headers]
   */
  fetch(method, path, body, headers = {}) {
    return fetch(this.url + path, {
      method,
      headers: { "cc-version": API_VERSION, "content-type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  }

  /**
   * Invites a user; returns the token of the invite link.
   * @param {string} email
   * @param {string[]} roles
   * @returns {Promise<string>}
   */
  async invite(email, roles) {
    return (await this.call("POST", "/api/ootheca/v1/invitations", { email, roles })).link_token;
  }

  /**
   * Creates a user with `PASSWORD`; returns the session cookie.
   * @param {string} email
   * @param {string[]} roles
   */
  async createUser(email, roles) {
    const link_token = await this.invite(email, roles);
    return this.signIn({ link_token, password: PASSWORD });
  }

  /** @param {Record<string, string>} credentials */
  async signIn(credentials) {
    const response = await this.fetch("POST", "/api/ootheca/v1/session", credentials);
    if (!response.ok) throw new Error(`sign in: ${response.status} ${await response.text()}`);
    const [name = "", value = ""] = (response.headers.get("set-cookie") ?? "").split(";")[0]?.split("=") ?? [];
    return { name, value, url: this.url };
  }

  /**
   * Creates a Basic cluster and waits until it is ready.
   * @param {string} name
   */
  async createCluster(name) {
    const spec = { plan: "BASIC", serverless: { regions: ["us-central1"] } };
    const { id } = await this.call("POST", "/api/v1/clusters", { name, provider: "GCP", spec });
    return eventually(`${name} is ready`, async () => {
      const cluster = await this.call("GET", `/api/v1/clusters/${id}`);
      return cluster.state === "CREATED" && cluster;
    });
  }
}

export class Server extends Api {
  /**
   * @param {{ engine?: string, args?: string[] }} [options]
   */
  static async start({ engine = "simulated", args = [] } = {}) {
    const home = mkdtempSync(join(tmpdir(), "oo-"));
    // SQL servers run as an unprivileged user.
    chmodSync(home, 0o711);
    const server = new Server(home, ["--engine", engine, ...args]);
    await server.run();
    return server;
  }

  /**
   * @param {string} home
   * @param {string[]} args
   */
  constructor(home, args) {
    super("", "");
    this.home = home;
    this.args = args;
    this.listen = "127.0.0.1:0";
    /** @type {import("node:child_process").ChildProcess | undefined} */
    this.process = undefined;
  }

  get data() {
    return join(this.home, "data");
  }

  get certificate() {
    return join(this.data, "certificates/ca.pem");
  }

  /** Starts the process, on the same address as before; does nothing if it is running. */
  async run() {
    if (this.process) return;
    const args = [
      "serve",
      "--data-dir",
      this.data,
      "--listen",
      this.listen,
      "--sql-listen",
      "127.0.0.1:0",
      ...this.args,
    ];
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("OOTHECA_")));
    env.OOTHECA_RATE_LIMIT__MODE = "never";
    env.OOTHECA_ENGINE__POOL_SIZE = "0";
    const child = spawn(PROGRAM, args, { env, stdio: ["ignore", "ignore", "pipe"] });
    this.process = child;
    let log = "";
    child.stderr.on("data", (text) => (log += text));
    child.once("error", (error) => (log += error));
    this.url = await eventually(
      "the server is listening",
      () => {
        if (child.exitCode !== null) throw new Error(`the server exited with ${child.exitCode}:\n${log}`);
        return /Cloud API\s+(http:\S+)\n/.exec(log)?.[1];
      },
      START_TIMEOUT_MS,
    );
    this.listen = new URL(this.url).host;
    this.key = readFileSync(join(this.data, "admin-api-key"), "utf8").trim();
    await eventually("the server is ready", async () => (await fetch(`${this.url}/readyz`).catch(() => null))?.ok);
  }

  /** Stops the process cleanly. Its data is kept. */
  async terminate() {
    const child = this.process;
    if (!child) return;
    this.process = undefined;
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    const code = await exited;
    if (code !== 0) throw new Error(`the server exited with ${code}`);
  }

  /** Stops the process and removes its folder. */
  async remove() {
    await this.terminate();
    await eventually("no process of the server is running", () => !runsIn(this.home));
    rmSync(this.home, { recursive: true, force: true });
  }
}

/**
 * Whether a process has `folder` in its command line.
 * @param {string} folder
 */
function runsIn(folder) {
  return readdirSync("/proc").some((id) => {
    if (!/^\d+$/.test(id) || Number(id) === process.pid) return false;
    try {
      return readFileSync(`/proc/${id}/cmdline`, "utf8").includes(folder);
    } catch {
      return false;
    }
  });
}
