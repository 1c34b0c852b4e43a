// Pure functions of restores, clones, and expiry.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const clone = await load("features/clone/draft.ts");
const restore = await load("pages/backups/restore-draft.ts");
const timeline = await load("pages/backups/timeline.ts");
const { expiryOf } = await load("features/cluster/expiry.ts");
const format = await load("lib/format.ts");
const validation = await load("api/validation.ts");

const NOW = Date.parse("2026-11-30T16:00:00Z");
const HOUR = 3_600_000;
const at = (milliseconds) => new Date(NOW + milliseconds).toISOString();
const backup = (as_of_time) => ({ id: as_of_time, as_of_time });

const basic = {
  id: "5f4c7b0e-9c53-4b12-8a53-0f6a1f1f3f11",
  name: "orders",
  plan: "BASIC",
  state: "CREATED",
  parent_id: "root",
  cloud_provider: "GCP",
  cidr_range: "",
  delete_protection: "DISABLED",
  regions: [{ name: "us-central1", node_count: 0 }],
  config: { serverless: { routing_id: "orders-1", upgrade_type: "AUTOMATIC" } },
};
const standard = {
  ...basic,
  plan: "STANDARD",
  regions: [
    { name: "europe-west3", node_count: 0, primary: false },
    { name: "us-central1", node_count: 0, primary: true },
  ],
  config: {
    serverless: {
      routing_id: "orders-1",
      upgrade_type: "MANUAL",
      usage_limits: { provisioned_virtual_cpus: "4" },
    },
  },
};
const advanced = {
  ...basic,
  plan: "ADVANCED",
  cidr_range: "172.28.0.0/14",
  network_visibility: "PUBLIC",
  regions: [{ name: "us-east1", node_count: 1 }],
  config: {
    dedicated: {
      machine_type: "n2-standard-4",
      num_virtual_cpus: 4,
      memory_gib: 16,
      storage_gib: 35,
      disk_iops: 500,
    },
  },
};

test("the suggested name of a clone is free and valid", () => {
  assert.equal(clone.suggestCloneName("orders", new Set()), "orders-copy");
  assert.equal(clone.suggestCloneName("orders", new Set(["orders-copy", "orders-copy-2"])), "orders-copy-3");
  const longest = "x".repeat(validation.MAX_CLUSTER_NAME_LENGTH);
  assert.equal(validation.clusterNameError(longest), null);
  assert.notEqual(validation.clusterNameError(`${longest}x`), null);
  const first = clone.suggestCloneName(longest, new Set());
  for (const name of [first, clone.suggestCloneName(longest, new Set([first]))]) {
    assert.equal(validation.clusterNameError(name), null, name);
  }
});

test("a clone with the plan of its source outside of folders names only the source", () => {
  for (const source of [basic, standard, advanced]) {
    const draft = clone.newCloneDraft(source);
    const request = { name: "orders-copy", restore_from: { source_cluster_id: source.id } };
    assert.deepEqual(clone.cloneRequest(draft, "orders-copy", source, NOW), request);
    const from = { ...request.restore_from, backup_id: "b" };
    const point = { time: at(-HOUR), backup: "b" };
    assert.deepEqual(clone.cloneRequest(draft, "orders-copy", source, NOW, point), { ...request, restore_from: from });
    const moment = clone.cloneRequest(draft, "orders-copy", source, NOW, { time: at(-HOUR) });
    assert.deepEqual(moment.restore_from, { ...request.restore_from, point_in_time: at(-HOUR) });
  }
});

test("a clone in a folder keeps the configuration of its source", () => {
  const specOf = (source, part = {}) => {
    const draft = { ...clone.newCloneDraft({ ...source, parent_id: "f" }), ...part };
    const { provider, spec } = clone.cloneRequest(draft, "orders-copy", source, NOW);
    assert.equal(provider, "GCP");
    return spec;
  };
  assert.deepEqual(specOf(standard), {
    plan: "STANDARD",
    parent_id: "f",
    serverless: {
      regions: ["europe-west3", "us-central1"],
      primary_region: "us-central1",
      upgrade_type: "MANUAL",
      usage_limits: { provisioned_virtual_cpus: "4" },
    },
  });
  assert.deepEqual(specOf(advanced), {
    plan: "ADVANCED",
    parent_id: "f",
    dedicated: {
      region_nodes: { "us-east1": 1 },
      hardware: { machine_spec: { machine_type: "n2-standard-4" }, storage_gib: 35, disk_iops: 500 },
      network_visibility: "PUBLIC",
      cidr_range: "172.28.0.0/14",
    },
  });
  assert.deepEqual(specOf(advanced, { plan: "BASIC" }), {
    plan: "BASIC",
    parent_id: "f",
    serverless: { regions: ["us-east1"] },
  });
});

test("plan Basic is offered if all regions of the source have it", () => {
  const region = (name, serverless, provider = "GCP") => ({ name, serverless, provider, location: "", distance: 0 });
  const all = [region("us-central1", true), region("us-east1", false), region("europe-west3", true, "AWS")];
  assert.deepEqual(clone.offeredPlans(basic, all), ["BASIC"]);
  assert.deepEqual(clone.offeredPlans(standard, all), ["STANDARD"]);
  assert.deepEqual(clone.offeredPlans(standard, [...all, region("europe-west3", true)]), ["STANDARD", "BASIC"]);
  assert.deepEqual(clone.offeredPlans(advanced, all), ["ADVANCED"]);
});

test("a clone expires after the chosen time", () => {
  const expiry = (part) =>
    clone.cloneRequest({ ...clone.newCloneDraft(basic), ...part }, "orders-copy", basic, NOW).expires_at;
  assert.equal(expiry({}), undefined);
  assert.equal(expiry({ expiry: "hour" }), at(HOUR));
  assert.equal(expiry({ expiry: "day" }), at(24 * HOUR));
  assert.equal(expiry({ expiry: "week" }), at(168 * HOUR));
  assert.equal(expiry({ expiry: "custom", expiresAt: at(5) }), at(5));
  // A time that was entered before another choice was made.
  assert.equal(expiry({ expiry: "never", expiresAt: at(5) }), undefined);
});

test("a clone needs a name, an expiry in the future, and SQL to mask with", () => {
  const draft = clone.newCloneDraft(basic);
  const errors = (part, name = "orders-copy") => clone.cloneErrors({ ...draft, ...part }, name, NOW);
  assert.deepEqual(errors({}), { name: null, expiry: null, masking: null });
  assert.equal(errors({}, "x").name, validation.CLUSTER_NAME_RULE);
  assert.equal(errors({ expiry: "custom" }).expiry, clone.EXPIRY_RULE);
  assert.equal(errors({ expiry: "custom", expiresAt: at(0) }).expiry, clone.EXPIRY_RULE);
  assert.equal(errors({ expiry: "custom", expiresAt: at(1) }).expiry, null);
  assert.equal(errors({ masks: true, maskingSql: " \n" }).masking, clone.MASKING_RULE);
  assert.equal(errors({ masks: true, maskingSql: "SELECT 1" }).masking, null);
});

test("masking SQL is sent only while it is turned on", () => {
  const draft = { ...clone.newCloneDraft(basic), maskingSql: "SELECT 1", maskingDatabase: " shop " };
  const from = (part) => clone.cloneRequest({ ...draft, ...part }, "orders-copy", basic, NOW).restore_from;
  assert.deepEqual(from({}), { source_cluster_id: basic.id });
  const masking = { masking_sql: "SELECT 1", masking_database: "shop" };
  assert.deepEqual(from({ masks: true }), { source_cluster_id: basic.id, ...masking });
  const unnamed = { source_cluster_id: basic.id, masking_sql: "SELECT 1" };
  assert.deepEqual(from({ masks: true, maskingDatabase: "" }), unnamed);
});

test("the badge of a cluster that expires follows the time", () => {
  const label = (remaining, part = {}) => expiryOf({ ...basic, expires_at: at(remaining), ...part }, NOW)?.label;
  assert.equal(expiryOf(basic, NOW), null);
  assert.equal(label(3 * HOUR), "Expires in 3 h");
  assert.equal(label(168 * HOUR), "Expires in 7 days");
  assert.equal(label(1), "Expires in 1 min");
  assert.equal(label(0), "Expires now");
  assert.equal(label(3 * HOUR, { state: "DELETED" }), undefined);
  assert.equal(label(3 * HOUR, { state: "CREATION_FAILED" }), undefined);
  const kept = { delete_protection: "ENABLED" };
  assert.equal(label(3 * HOUR, kept), "Expires in 3 h");
  assert.equal(label(-1, kept), "Expired, but protected");
  const badge = expiryOf({ ...basic, expires_at: at(3 * HOUR) }, NOW);
  assert.equal(badge.hint, format.formatDateTime(at(3 * HOUR)));
  assert.equal(badge.tone, "quiet");
  assert.equal(expiryOf({ ...basic, expires_at: at(HOUR / 2) }, NOW).tone, "warn");
});

test("remaining times are rounded", () => {
  const cases = [
    [0, "1 min"],
    [29 * 60_000, "29 min"],
    [HOUR - 31_000, "59 min"],
    [HOUR - 29_000, "1 h"],
    [47 * HOUR, "47 h"],
    [48 * HOUR, "2 days"],
  ];
  for (const [milliseconds, text] of cases) assert.equal(format.formatRemaining(milliseconds), text);
});

test("moments between two backups are whole seconds", () => {
  const [oldest, newest] = [backup("2026-11-30T15:00:00.001Z"), backup("2026-11-30T16:00:00.999Z")];
  const span = timeline.spanOf(oldest, newest);
  assert.equal(timeline.momentAt(span.first), "2026-11-30T15:00:01.000Z");
  assert.equal(timeline.momentAt(span.last), "2026-11-30T16:00:00.000Z");
  assert.equal(timeline.spanOf(oldest, undefined), null);
  assert.equal(timeline.spanOf(oldest, oldest), null);
  assert.equal(timeline.spanOf(backup("2026-11-30T15:00:00.100Z"), backup("2026-11-30T15:00:01.900Z")), null);
  for (const time of ["2026-11-30T15:00:01Z", "2026-11-30T16:00:00Z"]) {
    assert.equal(timeline.momentError(span, time), null, time);
  }
  for (const time of ["2026-11-30T15:00:00Z", "2026-11-30T16:00:01Z", "", undefined]) {
    assert.match(timeline.momentError(span, time), /^Use a time from /, time);
  }
});

test("backups are placed on the timeline by their time", () => {
  const span = { first: 1_000, last: 2_000 };
  const share = (second) => timeline.shareOf(span, timeline.momentAt(second));
  assert.deepEqual([900, 1_000, 1_250, 2_000, 2_001].map(share), [0, 0, 0.25, 1, 1]);
});

test("times of inputs have seconds only if they are asked for and not zero", () => {
  assert.match(format.toLocalInput("2026-11-30T16:03:50.999Z", true), /^2026-\d\d-\d\dT\d\d:\d\d:50$/);
  assert.match(format.toLocalInput("2026-11-30T16:03:00Z", true), /^2026-\d\d-\d\dT\d\d:\d\d$/);
  assert.match(format.toLocalInput("2026-11-30T16:03:50Z"), /^2026-\d\d-\d\dT\d\d:\d\d$/);
  assert.equal(format.toLocalInput(undefined, true), "");
});

test("the request of a restore has the members of its type", () => {
  const draft = restore.newRestoreDraft();
  const point = { time: at(-HOUR), backup: "b" };
  const request = (part, from = point) => restore.restoreRequest({ ...draft, ...part }, "s", from);
  const source = { source_cluster_id: "s", backup_id: "b" };
  // What was entered for another type isn't sent.
  const left = { newName: "x", databases: ["shop"], database: "shop", tables: ["orders"], schemaOnly: true };
  assert.deepEqual(request(left), { type: "CLUSTER", ...source });
  const moment = { type: "CLUSTER", source_cluster_id: "s", point_in_time: at(-HOUR) };
  assert.deepEqual(request({}, { time: at(-HOUR) }), moment);
  assert.deepEqual(request({ type: "DATABASE", databases: ["shop"], newName: "before", skipsViews: true }), {
    type: "DATABASE",
    ...source,
    objects: [{ database: "shop" }],
    restore_opts: { new_db_name: "before" },
  });
  assert.deepEqual(request({ type: "DATABASE", databases: ["shop", "carts"], newName: "before" }), {
    type: "DATABASE",
    ...source,
    objects: [{ database: "shop" }, { database: "carts" }],
    restore_opts: {},
  });
  const tables = { type: "TABLE", database: "shop", tables: ["orders", "sales.items.old"] };
  const options = { intoDatabase: "before", skipsForeignKeys: true, skipsSequences: true, skipsViews: true };
  assert.deepEqual(request({ ...tables, ...options, schemaOnly: true }), {
    type: "TABLE",
    ...source,
    objects: [
      { database: "shop", table: "orders" },
      { database: "shop", schema: "sales", table: "items.old" },
    ],
    restore_opts: {
      into_db: "before",
      schema_only: true,
      skip_missing_foreign_keys: true,
      skip_missing_sequences: true,
      skip_missing_views: true,
    },
  });
});

test("a restore names what it restores", () => {
  const draft = restore.newRestoreDraft();
  const complete = (part) => restore.restoreError({ ...draft, ...part }) === null;
  assert.ok(complete({}));
  assert.ok(!complete({ type: "DATABASE" }));
  assert.ok(complete({ type: "DATABASE", databases: ["shop"] }));
  assert.ok(!complete({ type: "DATABASE", databases: ["shop"], newName: "a b" }));
  assert.ok(complete({ type: "DATABASE", databases: ["shop", "carts"], newName: "a b" }));
  assert.ok(!complete({ type: "TABLE", database: "shop" }));
  assert.ok(!complete({ type: "TABLE", tables: ["orders"] }));
  assert.ok(complete({ type: "TABLE", database: "shop", tables: ["orders"] }));
});

test("what was restored is described in words", () => {
  const databases = (...names) => ({ type: "DATABASE", objects: names.map((database) => ({ database })) });
  assert.equal(restore.contentsText({ type: "CLUSTER" }), "All data");
  assert.equal(restore.contentsText(databases("shop")), "Database shop");
  assert.equal(restore.contentsText(databases("a", "b", "c", "d")), "Databases a, b, c, and 1 other");
  assert.equal(restore.contentsText(databases("a", "b", "c", "d", "e")), "Databases a, b, c, and 2 others");
  const tables = [
    { database: "shop", table: "orders" },
    { database: "shop", schema: "sales", table: "items" },
  ];
  assert.equal(restore.contentsText({ type: "TABLE", objects: tables }), "Tables shop.public.orders, shop.sales.items");
});
