// The OpenAPI document doesn't hold these rules, so the console has a copy. These tests compare it with the server:
// what one rejects, the other rejects as well.
import {
  BACKUP_FREQUENCIES,
  BACKUP_RETENTIONS,
  blackoutEndError,
  blackoutStartError,
  clusterNameError,
  databaseNameError,
  folderNameError,
  labelsError,
  MAINTENANCE_WINDOW_HOURS,
  passwordError,
  sqlUserNameError,
  storageError,
  vcpusError,
} from "../src/api/validation";
import { ADVANCED, expect, PASSWORD, STANDARD, test } from "./support/fixtures";
import type { Server } from "./support/server.mjs";

const long = (length: number) => "x".repeat(length);
const SERVERLESS = { plan: "BASIC", serverless: { regions: ["us-central1"] } };

/** Compares the error of the console with a dry run of the server. */
async function compare(
  server: Server,
  path: string,
  error: string | null,
  body: unknown,
  sample: unknown,
  method: "POST" | "PUT" | "PATCH" = "POST",
) {
  const headers = { authorization: `Bearer ${server.key}` };
  const response = await server.fetch(method, `${path}?dry_run=true`, body, headers);
  const text = await response.text();
  const rejected = response.status === 400;
  expect(response.ok || rejected, `${JSON.stringify(sample)}: ${response.status} ${text}`).toBe(true);
  expect(error !== null, `${JSON.stringify(sample)}: console: ${error}; server: ${response.status} ${text}`).toBe(
    rejected,
  );
}

test("names of clusters follow the rules of the server", async ({ server }) => {
  for (const name of [
    "abcdef",
    "abcde",
    long(57),
    long(58),
    "a-b-c-d",
    "-abcdef",
    "abcdef-",
    "Abcdef",
    "abc_def",
    "",
  ]) {
    const body = { name, provider: "GCP", spec: SERVERLESS };
    await compare(server, "/api/v1/clusters", clusterNameError(name), body, name);
  }
});

test("labels follow the rules of the server", async ({ server }) => {
  const samples: [string, string][] = [
    ["team", "payments"],
    ["team", ""],
    ["Team", "x"],
    ["1team", "x"],
    ["team", "Payments"],
    [long(63), long(63)],
    [long(64), "x"],
    ["team", long(64)],
    ["te-am_1", "a-b_c"],
    ["team", "a.b"],
  ];
  for (const [key, value] of samples) {
    const spec = { ...SERVERLESS, labels: { [key]: value } };
    const body = { name: "has-labels", provider: "GCP", spec };
    await compare(server, "/api/v1/clusters", labelsError([[key, value]]), body, [key, value]);
  }
});

test("capacities follow the rules of the server", async ({ server }) => {
  for (const vcpus of [1, 2, 200, 201]) {
    const limits = { provisioned_virtual_cpus: String(vcpus) };
    const spec = { plan: "STANDARD", serverless: { regions: ["us-central1"], usage_limits: limits } };
    await compare(server, "/api/v1/clusters", vcpusError(vcpus), { name: "sized-one", provider: "GCP", spec }, vcpus);
  }
  for (const [gib, vcpus] of [
    [14, 2],
    [15, 2],
    [640, 2],
    [641, 2],
    [1280, 4],
  ] as const) {
    const hardware = { machine_spec: { num_virtual_cpus: vcpus }, storage_gib: gib };
    const spec = { plan: "ADVANCED", dedicated: { region_nodes: { "us-east1": 1 }, hardware } };
    const body = { name: "sized-two", provider: "GCP", spec };
    await compare(server, "/api/v1/clusters", storageError(gib, vcpus), body, [gib, vcpus]);
  }
});

test("backup schedules follow the rules of the server", async ({ server }) => {
  const { id } = await server.createCluster("has-schedule", STANDARD);
  const path = `/api/v1/clusters/${id}/backups-config`;
  for (const minutes of [0, 1, 6, 120, 2880, ...BACKUP_FREQUENCIES]) {
    const error = BACKUP_FREQUENCIES.includes(minutes) ? null : "not offered";
    await compare(server, path, error, { frequency_minutes: minutes }, minutes, "PATCH");
  }
  for (const days of [0, 1, 14, 366, ...BACKUP_RETENTIONS]) {
    const error = BACKUP_RETENTIONS.includes(days) ? null : "not offered";
    await compare(server, path, error, { retention_days: days }, days, "PATCH");
  }
});

test("maintenance windows follow the rules of the server", async ({ server }) => {
  const { id } = await server.createCluster("has-window", ADVANCED);
  const path = `/api/v1/clusters/${id}/maintenance-window`;
  for (const hours of [0, 5, 168, ...MAINTENANCE_WINDOW_HOURS]) {
    const error = MAINTENANCE_WINDOW_HOURS.includes(hours) ? null : "not offered";
    const body = { offset_duration: "0s", window_duration: `${hours * 3600}s` };
    await compare(server, path, error, body, hours, "PUT");
  }
});

test("blackout windows follow the rules of the server", async ({ server }) => {
  const { id } = await server.createCluster("has-blackouts", ADVANCED);
  const now = Date.now();
  const at = (days: number) => now + days * 86_400_000;
  const text = (time: number) => `${new Date(time).toISOString().slice(0, 19)}Z`;
  for (const [start, end] of [
    [6.9, 8],
    [7.1, 8],
    [8, 7.9],
    [8, 8],
    [8, 22],
    [8, 22.1],
  ] as const) {
    const error = blackoutStartError(at(start), now) ?? blackoutEndError(at(start), at(end));
    const body = { start_time: text(at(start)), end_time: text(at(end)) };
    await compare(server, `/api/v1/clusters/${id}/blackout-windows`, error, body, [start, end]);
  }
});

test("names of folders follow the rules of the server", async ({ server }) => {
  for (const name of ["abc", "ab", long(40), long(41), "a b", "it's ok", "-ab", "ab-", "a/b", "tëam", "a_b-c"]) {
    await compare(server, "/api/v1/folders", folderNameError(name), { name, parent_id: "" }, name);
  }
});

test("names and passwords inside a cluster follow the rules of the server", async ({ server }) => {
  const { id } = await server.createCluster("has-objects");
  const users = `/api/v1/clusters/${id}/sql-users`;
  const names = ["maxroach", "_x", "9lives", "a.b-c", "-x", "a b", "", long(63), long(64), "ROOT", "pg_x", 'a"'];
  for (const name of names) {
    await compare(server, users, sqlUserNameError(name), { name, password: PASSWORD }, name);
  }
  for (const name of [...names, "Template1", "system"]) {
    await compare(server, `/api/v1/clusters/${id}/databases`, databaseNameError(name), { name }, name);
  }
  for (const password of ["short", long(11), long(12), long(1024), long(1025), "ä".repeat(12)]) {
    await compare(server, users, passwordError(password), { name: "tester", password }, password);
  }
});
