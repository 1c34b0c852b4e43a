//! The checks that every call passes, for each row of the table.

mod scopes;
pub(crate) mod success;

use crate::support::{self, PROGRAM, entries_by_trace, id, simulated, some_value, trace};
use ootheca_api::{
    extensions,
    operations::{Op, Operation, Scope, TABLE},
};
use ootheca_model::{Role, identity::Requirement};
use ootheca_testkit::{Answer, Client, Ootheca, ServerBuilder};
use serde_json::json;
use std::collections::HashMap;

/// Rows that every member can call, so that no key lacks the role.
const FOR_EVERY_MEMBER: [&str; 11] = [
    "DeleteSession",
    "GetOrganizationInfo",
    "GetResourceType",
    "GetResourceTypes",
    "GetSchema",
    "GetSchemas",
    "GetServiceProviderConfig",
    "ListAvailableRegions",
    "ListLatestSamples",
    "ListMajorClusterVersions",
    "WatchEvents",
];

/// A server, a cluster on it, and keys that lack roles.
struct Scene {
    server: Ootheca,
    cluster: String,
    member: Client,
    viewer: Client,
    /// The number of audit entries that each response must have, by trace ID.
    expected: HashMap<String, usize>,
    checks: usize,
}

impl Scene {
    fn new() -> Self {
        let server = simulated();
        let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
        let member = server.with_key(&server.new_key(&[]));
        let viewer = server.with_key(&server.new_key(&["BILLING_VIEWER"]));
        Self { server, cluster, member, viewer, expected: HashMap::new(), checks: 0 }
    }

    /// The path of the row with a value for each parameter.
    fn path(&self, row: &Operation) -> String {
        support::path(row, |name| match name {
            "cluster_id" | "destination_cluster_id" => self.cluster.clone(),
            _ => some_value(name),
        })
    }

    fn call(&self, client: &Client, row: &Operation, body: &str) -> Answer {
        let request = client.raw(row.method.name(), &self.path(row));
        let answer = if row.has_body { request.data(body).send() } else { request.send() };
        let headers = ["cc-version", "cc-trace-id"].map(|name| answer.header(name).is_some());
        assert_eq!(headers, [true, true], "{}: {answer}", row.name);
        answer
    }

    /// Checks the status and the format of a response, and how many audit entries it must have.
    #[track_caller]
    fn check(&mut self, row: &Operation, answer: &Answer, status: u16, authenticated: bool) {
        assert_eq!(answer.status, status, "{}: {answer}", row.name);
        answer.refused(status);
        let entries = usize::from(authenticated && row.audit.is_some());
        self.expected.insert(trace(answer), entries);
        self.checks += 1;
    }
}

fn lacks(requirement: Requirement, held: &[Role]) -> bool {
    match requirement {
        Requirement::Public | Requirement::Member => false,
        Requirement::Grantor => true,
        Requirement::Roles(roles) => !roles.iter().any(|role| held.contains(role)),
    }
}

#[test]
fn every_operation_enforces_authorization() {
    let mut scene = Scene::new();
    let mut free = Vec::new();
    for row in TABLE.iter().filter(|row| row.requirement != Requirement::Public) {
        let admin = scene.server.client().clone();
        let anonymous = admin.anonymous();
        let answer = scene.call(&anonymous, row, "{}");
        scene.check(row, &answer, 401, false);
        for authorization in
            [format!("Basic {}", scene.server.admin_key()), "Bearer".to_owned(), "Bearer x".to_owned()]
        {
            let request = anonymous.raw(row.method.name(), &scene.path(row));
            let answer = request.header("authorization", &authorization).send();
            assert_eq!(answer.refused(401), "token bearer cannot be authenticated");
            scene.check(row, &answer, 401, false);
        }
        let clients = [
            (scene.member.clone(), vec![Role::OrgMember]),
            (scene.viewer.clone(), vec![Role::OrgMember, Role::BillingViewer]),
        ];
        for (client, held) in clients {
            if lacks(row.requirement, &held) {
                let answer = scene.call(&client, row, "{}");
                scene.check(row, &answer, 403, true);
            } else if row.scope == Scope::Session {
                let answer = scene.call(&client, row, "{}");
                scene.check(row, &answer, 401, true);
            } else if held == [Role::OrgMember] {
                free.push(row.name);
            }
        }
        if row.has_body && row.scope != Scope::Session {
            for body in ["{\"a\":", "not json", "[1, 2]x"] {
                let answer = scene.call(&admin, row, body);
                scene.check(row, &answer, 400, true);
            }
        }
        let answer = scene.call(&admin.with_version("2020-02-02"), row, "{}");
        assert_eq!(answer.refused(400), "invalid Cc-Version", "{}", row.name);
        // The version is checked before the caller is authenticated, so an entry would have no actor.
        scene.check(row, &answer, 400, false);
        if !row.implemented {
            let answer = scene.call(&admin, row, "{}");
            scene.check(row, &answer, 501, true);
        }
    }
    free.sort_unstable();
    assert_eq!(free, FOR_EVERY_MEMBER, "rows that require no role");
    audited(&scene);
    println!("pipeline: {} rows, {} checks, {} rows for every member", TABLE.len(), scene.checks, free.len());
}

#[test]
fn public_operations_check_everything_except_authentication() {
    let scene = Scene::new();
    let public: Vec<&Operation> = TABLE.iter().filter(|row| row.requirement == Requirement::Public).collect();
    assert_eq!(public.iter().map(|row| row.op).collect::<Vec<_>>(), [Op::CreateSession]);
    let anonymous = scene.server.anonymous();
    for row in public {
        for body in ["{\"a\":", "not json", "[1, 2]x", "{\"a\":1}", "{}"] {
            scene.call(&anonymous, row, body).refused(400);
        }
        let answer = scene.call(&anonymous.with_version("2020-02-02"), row, "{}");
        assert_eq!(answer.refused(400), "invalid Cc-Version");
    }
}

/// Checks that each response has exactly the expected number of entries.
fn audited(scene: &Scene) {
    let found = entries_by_trace(&scene.server);
    for (trace, entries) in &scene.expected {
        assert_eq!(found.get(trace).copied().unwrap_or(0), *entries, "audit entries of trace {trace}");
    }
}

#[test]
fn every_successful_change_has_one_audit_entry() {
    let server = success::server().boot();
    let names = success::run_all(&server);
    assert_eq!(names, success::changes(extensions::are_supported), "every implemented change is called");
    println!("pipeline: {} changes succeeded, each with one audit entry", names.len());
}

#[test]
fn changes_that_cannot_be_repeated_have_one_audit_entry() {
    let server = ServerBuilder::new(PROGRAM).arg("--test-clock").boot();
    let names = success::run_unrepeatable(&server);
    // The simulated engine runs no SQL: see sql_shell.
    let mut wanted = success::changes(|op| !extensions::are_supported(op));
    wanted.retain(|name| *name != "RunStatement");
    assert_eq!(names, wanted, "every such change is called");
}

#[test]
fn unknown_paths_and_methods_return_errors_of_the_api() {
    let server = simulated();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/nothing",
        "/api/v1/clusters/x/y/z",
        "/api/v2/clusters",
        "/favicon.ico",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            // A GET outside of the API returns a page of the console: see console_serving.
            if method == "GET" && !path.starts_with("/api") {
                continue;
            }
            let answer = server.raw(method, path).send();
            answer.refused(404);
            assert_eq!(answer.body["code"], 5, "{answer}");
        }
    }
    let calls = [
        ("PUT", "/api/v1/clusters".to_owned(), "GET, POST"),
        ("POST", format!("/api/v1/clusters/{cluster}"), "GET, PATCH, DELETE"),
        ("OPTIONS", "/api/v1/organization".to_owned(), "GET"),
        ("BREW", "/api/v1/organization".to_owned(), "GET"),
        ("PATCH", "/api/ootheca/v1/session".to_owned(), "GET, POST, DELETE"),
        ("GET", format!("/api/ootheca/v1/clusters/{cluster}/sql"), "POST"),
        ("POST", "/api/v1/events".to_owned(), "GET"),
    ];
    for (method, path, allowed) in calls {
        let answer = server.raw(method, &path).send();
        answer.refused(405);
        let allow = answer.header("allow").unwrap_or_default();
        assert!(allowed.split(", ").all(|name| allow.contains(name)), "{answer}: allow {allow}");
    }
    let answer = server.get("/clusters/6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f");
    assert_eq!(answer.refused(404), "cluster does not exist");
    assert_eq!(server.get("/clusters/no-id").status, 404);
}

#[test]
fn bodies_that_are_too_large_are_refused() {
    let server = simulated();
    // A few bytes over the limit, so that the server has read almost everything when it responds.
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(1024 * 1024));
    let answer = server.request("POST", "/service-accounts").data(&large).send();
    assert!(
        answer.refused(400).contains("body: must be complete and have at most 1048576 bytes"),
        "{answer}"
    );
    assert_eq!(server.post("/service-accounts", json!({ "name": "small" })).status, 200);
}
