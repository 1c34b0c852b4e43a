// Pure functions of the console: formats, snippets, allowlists, backups, maintenance and blackout windows, SQL results,
// and validation.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const snippets = await load("features/connect/snippets.ts");
const allowlist = await load("pages/networking/allowlist.ts");
const schedule = await load("pages/backups/schedule.ts");
const timeline = await load("pages/backups/timeline.ts");
const windows = await load("pages/maintenance/windows.ts");
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

test("every schedule that can be chosen is described in words", () => {
  assert.deepEqual(validation.BACKUP_FREQUENCIES.map(schedule.frequencyText), [
    "Every 5 minutes",
    "Every 10 minutes",
    "Every 15 minutes",
    "Every 30 minutes",
    "Every hour",
    "Every 4 hours",
    "Every 24 hours",
  ]);
  assert.deepEqual(validation.BACKUP_RETENTIONS.map(schedule.retentionText), [
    "2 days",
    "7 days",
    "30 days",
    "90 days",
    "365 days",
  ]);
});

test("only changed parts of a backup configuration are sent, and none with disabled backups", () => {
  const current = { enabled: true, frequency_minutes: 60, retention_days: 30 };
  const off = { ...current, enabled: false };
  assert.deepEqual(schedule.changesOf(current, {}), {});
  assert.deepEqual(schedule.changesOf(current, current), {});
  assert.deepEqual(schedule.changesOf(current, { frequency_minutes: 240 }), { frequency_minutes: 240 });
  assert.deepEqual(schedule.changesOf(current, { retention_days: 7, frequency_minutes: 60 }), { retention_days: 7 });
  assert.deepEqual(schedule.changesOf(current, { enabled: false, retention_days: 7 }), { enabled: false });
  assert.deepEqual(schedule.changesOf(off, { retention_days: 7 }), {});
  const edited = { enabled: true, retention_days: 7 };
  assert.deepEqual(schedule.changesOf(off, edited), edited);
});

test("backups are grouped by day in their order", () => {
  // The middle of a day in every time zone between -11:00 and +11:00.
  const times = ["2026-11-30T12:20:00.001Z", "2026-11-30T11:20:00Z", "2026-11-28T12:00:00Z"];
  const backups = times.map((as_of_time, index) => ({ id: String(index), as_of_time }));
  assert.deepEqual(timeline.byDay([]), []);
  assert.deepEqual(timeline.byDay(backups), [
    { date: "Mon, Nov 30, 2026", backups: backups.slice(0, 2) },
    { date: "Sat, Nov 28, 2026", backups: backups.slice(2) },
  ]);
});

test("a cluster without backups says when they are taken", () => {
  const configuration = { enabled: true, frequency_minutes: 15, retention_days: 30 };
  const off = { ...configuration, enabled: false };
  assert.match(timeline.emptyText(configuration, 5_000), /ten seconds .* every 15 minutes\.$/);
  assert.match(timeline.emptyText(configuration, 90_000), /^A backup is taken every 15 minutes\./);
  assert.match(timeline.emptyText(off, 5_000), /^Enable them .* every 15 minutes\.$/);
});

test("the durations of a maintenance window are converted to and from days and times", () => {
  const cases = [
    ["0s", "Monday, 00:00 UTC"],
    ["1010s", "Monday, 00:16:50 UTC"],
    ["86399s", "Monday, 23:59:59 UTC"],
    ["172800s", "Wednesday, 00:00 UTC"],
    ["597600s", "Sunday, 22:00 UTC"],
    ["604799s", "Sunday, 23:59:59 UTC"],
  ];
  for (const [offset_duration, text] of cases) {
    const window = { offset_duration, window_duration: "21600s" };
    const parsed = windows.parseWindow(window);
    assert.equal(windows.weekTimeText(parsed.offset), text);
    assert.deepEqual(windows.renderWindow(parsed), window);
  }
});

test("durations are described in words", () => {
  const cases = [
    [21_600, "6 hours"],
    [86_400, "1 day"],
    [101_010, "1 day 4 hours 3 minutes 30 seconds"],
    [604_799, "6 days 23 hours 59 minutes 59 seconds"],
  ];
  for (const [seconds, text] of cases) assert.equal(windows.durationText(seconds), text);
  assert.equal(windows.durationText(validation.MAINTENANCE_WINDOW_HOURS.at(-1) * 3_600), "6 days");
});

test("a maintenance window can continue into the next week", () => {
  const inside = { offset: 172_800, duration: 21_600 };
  assert.deepEqual(windows.segments(inside), [{ start: 172_800, length: 21_600 }]);
  assert.equal(windows.weekTimeText(windows.endOf(inside)), "Wednesday, 06:00 UTC");
  const wrapped = { offset: 597_600, duration: 21_600 };
  assert.deepEqual(windows.segments(wrapped), [
    { start: 597_600, length: 7_200 },
    { start: 0, length: 14_400 },
  ]);
  assert.equal(windows.weekTimeText(windows.endOf(wrapped)), "Monday, 04:00 UTC");
  const toTheEnd = { offset: 583_200, duration: 21_600 };
  assert.deepEqual(windows.segments(toTheEnd), [{ start: 583_200, length: 21_600 }]);
  assert.equal(windows.weekTimeText(windows.endOf(toTheEnd)), "Monday, 00:00 UTC");
});

test("a choice contains the current value", () => {
  assert.deepEqual(windows.withCurrent([0, 1_800], 1_800), [0, 1_800]);
  assert.deepEqual(windows.withCurrent([0, 1_800], 1_010), [0, 1_010, 1_800]);
});

test("the former name of a deferral policy is shown as its current one", () => {
  assert.equal(windows.currentPolicy("FIXED_DEFERRAL"), "DEFERRAL_60_DAYS");
  for (const { value } of windows.POLICIES) assert.equal(windows.currentPolicy(value), value);
});

test("only changed times of a blackout window are sent, and seconds are kept", () => {
  const current = { start_time: "2026-12-02T08:46:34Z", end_time: "2026-12-04T08:46:00Z" };
  const inputs = windows.toInputs(current);
  assert.deepEqual(inputs, { start: "2026-12-02T08:46:34", end: "2026-12-04T08:46" });
  assert.deepEqual(windows.toTimes(inputs), current);
  assert.deepEqual(windows.changedTimes(current, windows.toTimes(inputs)), {});
  const later = windows.toTimes({ ...inputs, end: "2026-12-05T00:00" });
  assert.deepEqual(windows.changedTimes(current, later), { end_time: "2026-12-05T00:00:00Z" });
  const precise = { ...current, start_time: "2026-12-02T08:46:34.123456Z" };
  assert.deepEqual(windows.changedTimes(precise, current), {});
});

test("blackout windows start at least 7 days from now and last at most 14 days", () => {
  const now = Date.parse("2026-11-29T16:03:50Z");
  const at = (text) => format.fromUtcInput(text);
  const { blackoutStartError, blackoutEndError } = validation;
  assert.equal(blackoutStartError(at("2026-12-06T16:03"), now), validation.BLACKOUT_START_RULE);
  assert.equal(blackoutStartError(at("2026-12-06T16:04"), now), null);
  const start = at("2026-12-10T00:00");
  assert.equal(blackoutEndError(start, at("2026-12-24T00:00")), null);
  for (const end of ["2026-12-09T00:00", "2026-12-10T00:00", "2026-12-24T00:01", ""]) {
    assert.equal(blackoutEndError(start, at(end)), validation.BLACKOUT_END_RULE, end);
  }
  assert.equal(blackoutStartError(at(""), now), validation.BLACKOUT_START_RULE);
  const suggested = windows.suggestedInputs(now);
  assert.deepEqual(suggested, { start: "2026-12-07T00:00", end: "2026-12-08T00:00" });
  assert.equal(blackoutStartError(at(suggested.start), now), null);
  assert.equal(blackoutEndError(at(suggested.start), at(suggested.end)), null);
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
  assert.equal(format.formatUtcDateTime("2026-11-29T16:03:50Z"), "Nov 29, 2026, 16:03:50 UTC");
  assert.match(format.formatTime("2026-11-29T16:03:50Z"), /^\d\d:\d\d:50 \S+/);
  assert.match(format.formatDate("2026-11-29T12:00:00Z"), /^(Sat|Sun|Mon), Nov (28|29|30), 2026$/);
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
