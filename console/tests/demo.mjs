// The sample data of the screenshots: folders with clusters, users, service accounts, and an hour of load on a cluster.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const BASIC = { plan: "BASIC", serverless: { regions: ["europe-west3"] } };
const STANDARD = {
  plan: "STANDARD",
  serverless: { regions: ["us-central1"], usage_limits: { provisioned_virtual_cpus: 2 } },
};
const ADVANCED = {
  plan: "ADVANCED",
  dedicated: {
    region_nodes: { "us-east1": 1 },
    hardware: { machine_spec: { num_virtual_cpus: 4 }, storage_gib: 35 },
  },
};
const CLUSTERS = [
  ["shop-production", "shop", STANDARD, "GCP"],
  ["shop-staging", "shop", BASIC, "GCP"],
  ["billing-ledger", "billing", ADVANCED, "GCP"],
  ["billing-reports", "billing", BASIC, "GCP"],
  ["analytics", "", { plan: "BASIC", serverless: { regions: ["us-central1"] } }, "GCP"],
  ["playground-ada", "", BASIC, "GCP"],
];
const USERS = [
  ["grace@example.com", ["CLUSTER_ADMIN"], true],
  ["linus@example.com", ["CLUSTER_DEVELOPER"], true],
  ["barbara@example.com", ["ORG_ADMIN"], true],
  ["donald@example.com", ["CLUSTER_OPERATOR_WRITER"], false],
];
const TABLES = `
  CREATE TABLE orders (id int PRIMARY KEY, customer text, total numeric(10, 2), placed_at timestamptz);
  INSERT INTO orders SELECT n, 'customer ' || n % 97, (n * 7919) % 50000 / 100.0, now() - n * interval '11 minutes'
  FROM generate_series(1, 20000) AS n;
`;
/** Sunday, 22:00 UTC, to Monday, 04:00 UTC. */
const WINDOW = { offset_duration: "597600s", window_duration: "21600s" };
/** An hour, in steps of ten seconds. */
const STEPS = 360;

/** Creates the sample data. Returns what the screenshots show, and a function that ends the load. */
export async function createSampleData(server, { email, password }) {
  const call = (...args) => server.call(...args);
  const addUser = (address, roles, accepts) =>
    accepts ? server.createUser(address, roles) : server.invite(address, roles);
  const folders = { "": "" };
  const team = await call("POST", "/api/v1/folders", { name: "teams", parent_id: "" });
  for (const name of ["shop", "billing"]) {
    folders[name] = (await call("POST", "/api/v1/folders", { name, parent_id: team.resource_id })).resource_id;
  }
  const clusters = {};
  for (const [name, folder, spec, provider] of CLUSTERS) {
    const parent = folders[folder] ? { parent_id: folders[folder] } : {};
    clusters[name] = await call("POST", "/api/v1/clusters", { name, provider, spec: { ...spec, ...parent } });
  }
  await addUser(email, ["ORG_ADMIN", "CLUSTER_ADMIN", "FOLDER_ADMIN"], true);
  for (const user of USERS) await addUser(...user);
  let account;
  for (const [name, description] of [
    ["terraform", "Manages the clusters of all teams"],
    ["backup-check", "Verifies backups every night"],
  ]) {
    const roles = [{ name: "CLUSTER_ADMIN", resource: { type: "ORGANIZATION" } }];
    const created = await call("POST", "/api/v1/service-accounts", { name, description, roles });
    account ??= created.id;
    await call("POST", "/api/v1/api-keys", { name: `${name} in CI`, service_account_id: created.id });
  }
  const { id } = clusters["shop-production"];
  const path = `/api/v1/clusters/${id}`;
  for (const name of ["shop_app", "reporting"]) await call("POST", `${path}/sql-users`, { name, password });
  for (const name of ["shop", "carts"]) await call("POST", `${path}/databases`, { name });
  await call("PATCH", `${path}/backups-config`, { frequency_minutes: 5 });
  const networks = [
    ["10.20.0.0", 16, "office"],
    ["127.0.0.1", 32, "laptop"],
    ["192.0.2.17", 32, "CI"],
  ];
  for (const [cidr_ip, cidr_mask, name] of networks) {
    await call("POST", `${path}/networking/allowlist`, { cidr_ip, cidr_mask, name, sql: true, ui: false });
  }
  await call("DELETE", `${path}/networking/allowlist/0.0.0.0/0`);
  const { id: advanced } = clusters["billing-ledger"];
  const settings = `/api/v1/clusters/${advanced}`;
  await call("PUT", `${settings}/maintenance-window`, WINDOW);
  await call("PUT", `${settings}/version-deferral`, { deferral_policy: "DEFERRAL_30_DAYS" });
  const midnight = (days) => `${new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)}T00:00:00Z`;
  await call("POST", `${settings}/blackout-windows`, { start_time: midnight(20), end_time: midnight(24) });
  const { connection_string: address } = await call("GET", `${path}/connection-string?sql_user=shop_app&database=shop`);
  const running = await load(server, address, password);
  return { id, advanced, account, folder: folders.shop, ...running };
}

/** Opens a psql session. `run` resolves when the session has run its statements and reported its statistics. */
function openSession(url, password) {
  const child = spawn("psql", ["-qAt", "-o", "/dev/null", url], {
    env: { PATH: process.env.PATH, PGPASSWORD: password },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async run(statements) {
      child.stdin.write(`${statements}SELECT pg_stat_force_next_flush();\n\\echo done\n`);
      await lines.next();
    },
    async close() {
      const exited = new Promise((resolve) => child.once("exit", resolve));
      child.stdin.end();
      await exited;
    },
  };
}

/** Runs an hour of varying load. */
async function load(server, address, password) {
  const url = `${address}${address.includes("?") ? "&" : "?"}sslrootcert=${encodeURIComponent(server.certificate)}`;
  const sessions = [openSession(url, password)];
  await sessions[0].run(TABLES);
  let now;
  for (let step = 0; step < STEPS; step += 1) {
    const wave = 1 + Math.sin(step / 40) + 0.4 * Math.sin(step / 7) + (step % 90 < 4 ? 2 : 0);
    const wanted = 2 + Math.round(3 * Math.max(0, wave));
    while (sessions.length < wanted) sessions.push(openSession(url, password));
    while (sessions.length > wanted) await sessions.pop().close();
    await Promise.all(sessions.map((session) => session.run(statementsOf(step, wave))));
    ({ now } = await server.call("POST", "/api/ootheca/v1/clock", { advance_seconds: 10 }));
  }
  return { now, end: () => Promise.all(sessions.map((session) => session.close())) };
}

function statementsOf(step, wave) {
  let text = "";
  for (let n = 0; n < 25 * Math.max(0.2, wave); n += 1) {
    const id = (step * 31 + n * 17) % 20_000;
    text +=
      n % 5
        ? `SELECT total FROM orders WHERE id = ${id};\n`
        : `UPDATE orders SET total = total + 1 WHERE id = ${id};\n`;
  }
  return text;
}
