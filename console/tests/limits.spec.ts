// The OpenAPI document doesn't hold the rules for names and labels, so the console has a copy. These tests compare it
// with the server: what one rejects, the other rejects as well.
import {
  clusterNameError,
  databaseNameError,
  folderNameError,
  labelsError,
  passwordError,
  sqlUserNameError,
  storageError,
  vcpusError,
} from "../src/api/validation";
import { expect, PASSWORD, test } from "./support/fixtures";
import type { Server } from "./support/server.mjs";

const long = (length: number) => "x".repeat(length);
const SERVERLESS = { plan: "BASIC", serverless: { regions: ["us-central1"] } };

/** Compares the error of the console with a dry run of the server. */
async function compare(server: Server, path: string, error: string | null, body: unknown, sample: unknown) {
  const headers = { authorization: `Bearer ${server.key}` };
  const response = await server.fetch("POST", `${path}?dry_run=true`, body, headers);
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
