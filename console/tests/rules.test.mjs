// What the pages decide without a server and a browser: snippets, allowlists, answers, names.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

const load = async (path) => {
  const file = fileURLToPath(new URL(`../src/${path}`, import.meta.url));
  return (await runnerImport(file, { configFile: false, logLevel: "error" })).module;
};
const snippets = await load("pages/connect/snippets.ts");
const allowlist = await load("pages/networking/allowlist.ts");
const result = await load("pages/sql/result.ts");
const names = await load("api/names.ts");

const answer = {
  connection_string:
    "postgresql://maxroach@localhost:26257/defaultdb?sslmode=verify-full&options=--cluster%3Dblue-dog-12",
  params: { Host: "localhost", Port: "26257", Database: "defaultdb", Username: "maxroach" },
};

test("the connection string is the one of the server", () => {
  assert.equal(snippets.connectionString(snippets.target(answer)), answer.connection_string);
});

test("a password in a connection string is escaped, also for a shell", () => {
  const text = snippets.connectionString(snippets.target(answer), "p@:/?#'\"$`! x");
  assert.equal(new URL(text.replace("postgresql", "http")).password, "p%40%3A%2F%3F%23%27%22%24%60%21%20x");
});

test("no snippet holds a password, and each names user, database and cluster", () => {
  for (const { id, code } of snippets.snippets(snippets.target(answer))) {
    for (const part of ["maxroach", "defaultdb", "blue-dog-12", "localhost", "26257"]) {
      assert.ok(code.includes(part), `${id}: ${part}`);
    }
  }
});

test("names with quotes stay inside of their literals", () => {
  const odd = { host: "h", port: 1, user: 'a"b\\c', database: "d'$e", options: null };
  for (const { id, code } of snippets.snippets(odd)) {
    assert.ok(!code.includes('a"b'), `${id} lets a quote through`);
    assert.ok(!code.includes("--cluster"), `${id} names a cluster where the host name does`);
  }
});

test("networks are read as the server reads them", () => {
  assert.deepEqual(allowlist.parse(" 203.0.113.7 "), { cidr_ip: "203.0.113.7", cidr_mask: 32 });
  assert.deepEqual(allowlist.parse("10.0.0.0/8"), { cidr_ip: "10.0.0.0", cidr_mask: 8 });
  assert.deepEqual(allowlist.parse("0.0.0.0/0"), allowlist.EVERYBODY);
  assert.match(allowlist.parse("10.0.0.1/8").error, /bits outside the mask; did you mean 10\.0\.0\.0\/8\?/);
  assert.match(allowlist.parse("255.255.255.255/1").error, /128\.0\.0\.0\/1/);
  for (const bad of ["", "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/8/8", "::1", "x"]) {
    assert.ok(allowlist.parse(bad).error, bad);
  }
});

test("a network contains its addresses and no others", () => {
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

test("a change that shuts somebody out, or lets everybody in, is warned of", () => {
  const mine = { cidr_ip: "10.0.0.0", cidr_mask: 8, name: "", sql: true, ui: false };
  const other = { ...mine, cidr_ip: "192.0.2.0", cidr_mask: 24 };
  const all = { ...mine, ...allowlist.EVERYBODY };
  const kinds = (before, after, address = "10.1.2.3") =>
    allowlist.warnings(before, after, address).map((warning) => warning.kind);
  assert.deepEqual(kinds([mine, other], [other]), ["shut-out"]);
  assert.deepEqual(kinds([mine, other], [mine]), []);
  assert.deepEqual(kinds([mine], []), ["nobody"]);
  assert.deepEqual(kinds([mine], [{ ...mine, sql: false }]), ["nobody"]);
  assert.deepEqual(kinds([mine], [mine, all]), ["everybody"]);
  assert.deepEqual(kinds([mine, all], [all]), []);
  assert.deepEqual(kinds([mine, other], [other], null), []);
});

test("an address is known also where it is mapped to IPv6", () => {
  assert.equal(allowlist.asIpv4("::ffff:10.1.2.3"), "10.1.2.3");
  assert.equal(allowlist.asIpv4("127.0.0.1"), "127.0.0.1");
  for (const none of ["::1", "", null, undefined]) assert.equal(allowlist.asIpv4(none), null);
});

test("an error says its state, and points into the statement as the server counts", () => {
  const statement = "SELECT '🦊',\n  prise";
  const found = result.problem('column "prise" does not exist (SQLSTATE 42703, position 15)\nHINT: price?', statement);
  assert.equal(found.state, "42703");
  assert.equal(found.text, 'column "prise" does not exist\nHINT: price?');
  assert.equal(statement.slice(found.offset), "prise");
  assert.deepEqual(result.place(statement, found.offset), { line: 2, column: 3 });
  assert.deepEqual(result.problem("permission denied", "x"), { text: "permission denied", state: null, offset: null });
  assert.equal(result.problem("too far (SQLSTATE 42601, position 99)", "x").offset, null);
});

test("CSV keeps NULL and an empty text apart, and quotes what must be", () => {
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

test("names follow the rules of the server", () => {
  for (const good of ["maxroach", "_x", "9lives", "a.b-c"]) assert.equal(names.sqlUserProblem(good), null);
  for (const bad of ["", "-x", "a b", "x".repeat(64), "ROOT", "pg_x", 'a"']) assert.ok(names.sqlUserProblem(bad), bad);
  assert.ok(names.databaseProblem("Template1"));
  assert.equal(names.databaseProblem("shop"), null);
  assert.ok(names.passwordProblem("short"));
});

test("generated passwords are long, plain and never the same", () => {
  const made = Array.from({ length: 100 }, names.generatePassword);
  assert.equal(new Set(made).size, 100);
  for (const password of made) {
    assert.match(password, /^[A-Za-z0-9]{24}$/);
    assert.equal(names.passwordProblem(password), null);
  }
});
