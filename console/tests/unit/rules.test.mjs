// Pure functions of the console: formats, snippets, allowlists, SQL results, and validation.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

const load = async (path) => {
  const file = fileURLToPath(new URL(`../../src/${path}`, import.meta.url));
  return (await runnerImport(file, { configFile: false, logLevel: "error" })).module;
};
const snippets = await load("features/connect/snippets.ts");
const allowlist = await load("pages/networking/allowlist.ts");
const result = await load("pages/sql-shell/result.ts");
const validation = await load("api/validation.ts");
const { generatePassword } = await load("lib/generate-password.ts");
const format = await load("lib/format.ts");

const answer = {
  connection_string:
    "postgresql://maxroach@localhost:26257/defaultdb?sslmode=verify-full&options=--cluster%3Dblue-dog-12",
  params: { Host: "localhost", Port: "26257", Database: "defaultdb", Username: "maxroach" },
};

test("the connection string equals the one of the server", () => {
  assert.equal(snippets.connectionString(snippets.target(answer)), answer.connection_string);
});

test("the routing ID precedes a database name with a dot", () => {
  const connection_string = answer.connection_string.replace("/defaultdb", "/blue-dog-12.shop-42.orders");
  const dotted = { connection_string, params: { ...answer.params, Database: "shop-42.orders" } };
  assert.equal(snippets.target(dotted).database, "blue-dog-12.shop-42.orders");
  assert.equal(snippets.connectionString(snippets.target(dotted)), connection_string);
});

test("passwords are escaped in connection strings, also for a shell", () => {
  const text = snippets.connectionString(snippets.target(answer), "p@:/?#'\"$`! x");
  assert.equal(new URL(text.replace("postgresql", "http")).password, "p%40%3A%2F%3F%23%27%22%24%60%21%20x");
});

test("snippets contain the user, database, and cluster, but no password", () => {
  for (const { id, code } of snippets.snippets(snippets.target(answer))) {
    for (const part of ["maxroach", "defaultdb", "blue-dog-12", "localhost", "26257"]) {
      assert.ok(code.includes(part), `${id}: ${part}`);
    }
  }
});

test("quotes in names are escaped in snippets", () => {
  const odd = { host: "h", port: 1, user: 'a"b\\c', database: "d'$e", options: null };
  for (const { id, code } of snippets.snippets(odd)) {
    assert.ok(!code.includes('a"b'), `${id} lets a quote through`);
    assert.ok(!code.includes("--cluster"), `${id} names a cluster where the host name does`);
  }
});

test("networks are parsed like on the server", () => {
  assert.deepEqual(allowlist.parse(" 203.0.113.7 "), { cidr_ip: "203.0.113.7", cidr_mask: 32 });
  assert.deepEqual(allowlist.parse("10.0.0.0/8"), { cidr_ip: "10.0.0.0", cidr_mask: 8 });
  assert.deepEqual(allowlist.parse("0.0.0.0/0"), allowlist.ANY_ADDRESS);
  assert.match(allowlist.parse("10.0.0.1/8").error, /bits outside the mask\. Did you mean 10\.0\.0\.0\/8\?/);
  assert.match(allowlist.parse("255.255.255.255/1").error, /128\.0\.0\.0\/1/);
  for (const bad of ["", "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/8/8", "::1", "x"]) {
    assert.ok(allowlist.parse(bad).error, bad);
  }
});

test("a network contains exactly its addresses", () => {
  for (let mask = 0; mask <= 32; mask += 1) {
    const size = 2 ** (32 - mask);
    const base = Math.floor(3405803776 / size) * size;
    const dotted = (ip) => [24, 16, 8, 0].map((shift) => Math.floor(ip / 2 ** shift) % 256).join(".");
    const network = { cidr_ip: dotted(base), cidr_mask: mask };
    assert.deepEqual(allowlist.parse(allowlist.cidr(network)), network);
    assert.ok(allowlist.contains(network, dotted(base)) && allowlist.contains(network, dotted(base + size - 1)));
    if (base > 0) assert.ok(!allowlist.contains(network, dotted(base - 1)), String(mask));
  }
});

test("risky changes of the allowlist cause warnings", () => {
  const mine = { cidr_ip: "10.0.0.0", cidr_mask: 8, name: "", sql: true, ui: false };
  const other = { ...mine, cidr_ip: "192.0.2.0", cidr_mask: 24 };
  const all = { ...mine, ...allowlist.ANY_ADDRESS };
  const kinds = (before, after, address = "10.1.2.3") =>
    allowlist.warnings(before, after, address).map((warning) => warning.kind);
  assert.deepEqual(kinds([mine, other], [other]), ["blocks-caller"]);
  assert.deepEqual(kinds([mine, other], [mine]), []);
  assert.deepEqual(kinds([mine], []), ["blocks-all"]);
  assert.deepEqual(kinds([mine], [{ ...mine, sql: false }]), ["blocks-all"]);
  assert.deepEqual(kinds([mine], [mine, all]), ["allows-all"]);
  assert.deepEqual(kinds([mine, all], [all]), []);
  assert.deepEqual(kinds([mine, other], [other], null), []);
});

test("IPv4 addresses mapped to IPv6 are recognized", () => {
  assert.equal(allowlist.asIpv4("::ffff:10.1.2.3"), "10.1.2.3");
  assert.equal(allowlist.asIpv4("127.0.0.1"), "127.0.0.1");
  for (const none of ["::1", "", null, undefined]) assert.equal(allowlist.asIpv4(none), null);
});

test("errors are parsed into SQLSTATE and offset", () => {
  const statement = "SELECT '🦊',\n  prise";
  const found = result.parseError(
    'column "prise" does not exist (SQLSTATE 42703, position 15)\nHINT: price?',
    statement,
  );
  assert.equal(found.state, "42703");
  assert.equal(found.text, 'column "prise" does not exist\nHINT: price?');
  assert.equal(statement.slice(found.offset), "prise");
  assert.deepEqual(result.lineAndColumn(statement, found.offset), { line: 2, column: 3 });
  assert.deepEqual(result.parseError("permission denied", "x"), {
    text: "permission denied",
    state: null,
    offset: null,
  });
  assert.equal(result.parseError("too far (SQLSTATE 42601, position 99)", "x").offset, null);
});

test("CSV distinguishes NULL from an empty string and quotes cells", () => {
  const columns = [
    { name: "a", type: "text" },
    { name: "b,c", type: "text" },
  ];
  const rows = [
    [null, ""],
    ['say "hi"', "two\nlines"],
  ];
  assert.equal(result.csv({ columns, rows }), 'a,"b,c"\r\n,""\r\n"say ""hi""","two\nlines"\r\n');
});

test("reserved and malformed names are rejected", () => {
  for (const good of ["maxroach", "_x", "9lives", "a.b-c"]) assert.equal(validation.sqlUserNameError(good), null);
  for (const bad of ["", "-x", "a b", "x".repeat(64), "ROOT", "pg_x", 'a"'])
    assert.ok(validation.sqlUserNameError(bad), bad);
  assert.ok(validation.databaseNameError("Template1"));
  assert.equal(validation.databaseNameError("shop"), null);
  assert.ok(validation.passwordError("short"));
});

test("generated passwords are valid and unique", () => {
  const made = Array.from({ length: 100 }, generatePassword);
  assert.equal(new Set(made).size, 100);
  for (const password of made) {
    assert.match(password, /^[A-Za-z0-9]{24}$/);
    assert.equal(validation.passwordError(password), null);
  }
});

test("numbers, sizes, and durations have one format", () => {
  assert.equal(format.formatNumber(1182), "1,182");
  assert.equal(format.formatNumber(50_000_000), "50M");
  assert.equal(format.formatCount(1, "cluster"), "1 cluster");
  assert.equal(format.formatCount(10_000, "cluster"), "10,000 clusters");
  assert.equal(format.formatMeasurement(0.2512), "0.25");
  assert.equal(format.formatMeasurement(1181.6), "1,182");
  assert.equal(format.formatBytes(10 * 1024 ** 3), "10 GiB");
  assert.equal(format.formatBytes(0), "0 B");
  assert.equal(format.formatDuration(1500), "1.50 s");
});

test("dates have one format with the time zone", () => {
  assert.match(format.formatDateTime("2026-11-29T16:03:50Z"), /^Nov (28|29|30), 2026, \d\d:\d\d:50 \S+/);
  assert.equal(format.formatMonth("2026-11"), "November 2026");
  assert.equal(format.formatMonth("unknown"), "unknown");
});

test("times are relative to now", () => {
  const now = Date.parse("2026-11-29T16:00:00Z");
  const at = (seconds) => format.formatRelative(new Date(now + seconds * 1000), now);
  assert.equal(at(-180), "3 minutes ago");
  assert.equal(at(0), "just now");
  assert.equal(at(-10), "just now");
  assert.equal(at(45), "in less than a minute");
  assert.equal(at(7 * 86_400), "next week");
});
