// A server for the browser tests and the screenshots: in its own folder, on free ports, and gone afterwards.
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const API_VERSION = "2026-09-15";
export const PASSWORD = "correct horse battery";

const BASIC = { plan: "BASIC", serverless: { regions: ["us-central1"] } };
/** The specification of a Standard cluster. */
export const STANDARD = {
  plan: "STANDARD",
  serverless: { regions: ["us-central1"], usage_limits: { provisioned_virtual_cpus: "2" } },
};
/** The specification of an Advanced cluster. */
export const ADVANCED = {
  plan: "ADVANCED",
  dedicated: {
    region_nodes: { "us-east1": 1 },
    hardware: { machine_spec: { num_virtual_cpus: 2 }, storage_gib: 15 },
  },
};

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
   * Creates a cluster, a Basic one by default, and waits until it is ready.
   * @param {string} name
   * @param {object} [spec]
   * @param {object} [rest] The other members of the request.
   */
  async createCluster(name, spec = BASIC, rest = {}) {
    const { id } = await this.call("POST", "/api/v1/clusters", { name, provider: "GCP", spec, ...rest });
    return eventually(`${name} is ready`, async () => {
      const cluster = await this.call("GET", `/api/v1/clusters/${id}`);
      return cluster.state === "CREATED" && cluster;
    });
  }

  /**
   * Makes the first backup of a cluster due, and returns it.
   * @param {string} cluster
   */
  async firstBackup(cluster) {
    await this.call("POST", "/api/ootheca/v1/clock", { advance_seconds: 10 });
    return eventually("a backup", async () => {
      const { backups } = await this.call("GET", `/api/v1/clusters/${cluster}/backups`);
      return backups[0];
    });
  }

  /**
   * Makes the next backup of a Standard or Advanced cluster due, an hour after the last one, and returns it.
   * @param {string} cluster
   */
  async nextBackup(cluster) {
    const newest = async () => {
      const path = `/api/v1/clusters/${cluster}/backups?pagination.sort_order=DESC`;
      return (await this.call("GET", path)).backups[0];
    };
    const last = await newest();
    await this.call("POST", "/api/ootheca/v1/clock", { advance_seconds: 3_600 });
    return eventually("another backup", async () => {
      const backup = await newest();
      return backup.id !== last.id && backup;
    });
  }

  /**
   * Restores a backup into a cluster, and returns the restore when it is complete.
   * @param {string} destination
   * @param {string} backup_id
   */
  async restore(destination, backup_id) {
    const path = `/api/v1/clusters/${destination}/restores`;
    const { id } = await this.call("POST", path, { type: "CLUSTER", backup_id });
    return eventually("the restore is complete", async () => {
      const restore = await this.call("GET", `${path}/${id}`);
      return restore.status !== "PENDING" && restore;
    });
  }
}

export class Server extends Api {
  /**
   * Starts a server. With `backups`, it takes backups and has a test clock, which can make them due.
   * @param {{ engine?: string, backups?: boolean }} [options]
   */
  static async start({ engine = "simulated", backups = false } = {}) {
    const home = mkdtempSync(join(tmpdir(), "oo-"));
    // SQL servers run as an unprivileged user.
    chmodSync(home, 0o711);
    const server = new Server(home, ["--engine", engine, ...(backups ? ["--test-clock"] : [])], backups);
    await server.run();
    return server;
  }

  /**
   * @param {string} home
   * @param {string[]} args
   * @param {boolean} backups
   */
  constructor(home, args, backups) {
    super("", "");
    this.home = home;
    this.args = args;
    this.backups = backups;
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
    env.OOTHECA_BACKUPS__ENABLED = String(this.backups);
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
