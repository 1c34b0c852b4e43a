//! Calls each implemented change once, with success.

use crate::{
    sessions::{Browser, PASSWORD as BY_ADA, person},
    support::{PASSWORD, PROGRAM, entries_by_trace, id, in_days, trace},
};
use ootheca_api::operations::{Op, TABLE};
use ootheca_testkit::{Answer, Ootheca, ServerBuilder, eventually};
use serde_json::{Value, json};

/// The names of the implemented changes among `operations`, sorted.
pub(crate) fn changes(operations: impl Fn(Op) -> bool) -> Vec<&'static str> {
    let changes = TABLE.iter().filter(|row| row.implemented && row.audit.is_some() && operations(row.op));
    let mut names: Vec<&str> = changes.map(|row| row.name).collect();
    names.sort_unstable();
    names
}

/// A server on which [`run_all`] succeeds: it takes backups, and its clock can be advanced until one is due.
pub(crate) fn server() -> ServerBuilder {
    ServerBuilder::new(PROGRAM).backups()
}

/// Calls the changes that support dry runs and idempotency keys, and returns their names, sorted.
pub(crate) fn run_all(server: &Ootheca) -> Vec<&'static str> {
    let mut calls: Vec<(&'static str, Answer)> = Vec::new();
    clusters(server, &mut calls);
    windows(server, &mut calls);
    restores(server, &mut calls);
    folders(server, &mut calls);
    identity(server, &mut calls);
    scim(server, &mut calls);
    people(server, &mut calls);
    audited(server, calls)
}

/// Calls the changes that support neither, except for statements, and returns their names, sorted.
pub(crate) fn run_unrepeatable(server: &Ootheca) -> Vec<&'static str> {
    let session = "/api/ootheca/v1/session";
    person(server, "ada@example.com", &[]);
    let mut ada = Browser::new(server);
    let mut calls =
        vec![("CreateSession", ada.sign_in(json!({ "email": "ada@example.com", "password": BY_ADA })))];
    let change = json!({ "old_password": BY_ADA, "new_password": "another long password" });
    calls.push(("ChangePassword", ada.api("PUT", &format!("{session}/password"), Some(change))));
    calls.push(("DeleteCurrentSession", ada.api("DELETE", session, None)));
    let advance = json!({ "advance_seconds": 1 });
    calls.push(("AdvanceClock", server.raw("POST", "/api/ootheca/v1/clock").json(&advance).send()));
    audited(server, calls)
}

/// Asserts that each call succeeded and has one audit entry. Returns the names.
fn audited(server: &Ootheca, calls: Vec<(&'static str, Answer)>) -> Vec<&'static str> {
    let entries = entries_by_trace(server);
    for (name, answer) in &calls {
        assert_eq!(answer.status, 200, "{name}: {answer}");
        assert_eq!(entries.get(&trace(answer)), Some(&1), "{name}: audit entries");
    }
    let mut names: Vec<&str> = calls.into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names
}

fn clusters(server: &Ootheca, calls: &mut Vec<(&'static str, Answer)>) {
    let limits = json!({ "provisioned_virtual_cpus": "2" });
    let spec = json!({ "serverless": { "regions": ["us-central1"], "usage_limits": limits } });
    // The backup configuration of a BASIC cluster can't be changed.
    let body = json!({ "name": "successes", "provider": "GCP", "plan": "STANDARD", "spec": spec });
    let made = server.post("/clusters", body);
    let id = id(made.ok());
    calls.push(("CreateCluster", made));
    let at = |rest: &str| format!("/clusters/{id}{rest}");
    let entry = json!({ "cidr_ip": "203.0.113.0", "cidr_mask": 24, "sql": true, "ui": false });
    let both = json!({ "sql": false, "ui": true });
    let mut call = |name, method: &str, rest: &str, body: Value| {
        let request = server.request(method, &at(rest));
        calls.push((name, if body.is_null() { request.send() } else { request.json(&body).send() }));
    };
    call("UpdateCluster", "PATCH", "", json!({ "labels": { "a": "b" } }));
    call("UpdateBackupConfiguration", "PATCH", "/backups-config", json!({ "retention_days": 7 }));
    call("CreateSQLUser", "POST", "/sql-users", json!({ "name": "maxroach", "password": PASSWORD }));
    call(
        "UpdateSQLUserPassword",
        "PUT",
        "/sql-users/maxroach/password",
        json!({ "password": "twelve letters" }),
    );
    call("DeleteSQLUser", "DELETE", "/sql-users/maxroach", Value::Null);
    call("CreateDatabase", "POST", "/databases", json!({ "name": "one" }));
    call("EditDatabase", "PATCH", "/databases/one", json!({ "new_name": "two" }));
    call("EditDatabase2", "PATCH", "/databases", json!({ "name": "two", "new_name": "three" }));
    call("DeleteDatabase", "DELETE", "/databases/three", Value::Null);
    call("AddAllowlistEntry", "POST", "/networking/allowlist", entry);
    call("AddAllowlistEntry2", "PUT", "/networking/allowlist/198.51.100.0/24", both.clone());
    call("UpdateAllowlistEntry", "PATCH", "/networking/allowlist/198.51.100.0/24", both);
    call("DeleteAllowlistEntry", "DELETE", "/networking/allowlist/198.51.100.0/24", Value::Null);
    call("DeleteCluster", "DELETE", "", Value::Null);
}

/// Changes that only ADVANCED clusters support.
fn windows(server: &Ootheca, calls: &mut Vec<(&'static str, Answer)>) {
    let spec = json!({ "dedicated": {
        "region_nodes": { "us-east1": 1 },
        "hardware": { "machine_spec": { "num_virtual_cpus": 2 }, "storage_gib": 15 },
    }});
    let body = json!({ "name": "successes-advanced", "provider": "GCP", "plan": "ADVANCED", "spec": spec });
    let cluster = format!("/clusters/{}", id(server.client().plain().post("/clusters", body).ok()));
    eventually("the cluster is CREATED", || (server.get(&cluster).ok()["state"] == "CREATED").then_some(()));
    let at = |rest: &str| format!("{cluster}/{rest}");
    let times = json!({ "start_time": in_days(10), "end_time": in_days(12) });
    let made = server.post(&at("blackout-windows"), times);
    let window = at(&format!("blackout-windows/{}", id(made.ok())));
    calls.push(("CreateBlackoutWindow", made));
    calls.push(("UpdateBlackoutWindow", server.patch(&window, json!({ "end_time": in_days(11) }))));
    calls.push(("DeleteBlackoutWindow", server.delete(&window)));
    let body = json!({ "offset_duration": "172800s", "window_duration": "21600s" });
    calls.push(("SetMaintenanceWindow", server.put(&at("maintenance-window"), body)));
    calls.push(("DeleteMaintenanceWindow", server.delete(&at("maintenance-window"))));
    // The only policy besides NOT_DEFERRED that every version describes.
    let body = json!({ "deferral_policy": "FIXED_DEFERRAL" });
    calls.push(("SetClusterVersionDeferral", server.put(&at("version-deferral"), body)));
}

/// Restores the first backup of a cluster into the same cluster, and waits until that is complete.
fn restores(server: &Ootheca, calls: &mut Vec<(&'static str, Answer)>) {
    let plain = server.client().plain();
    let spec = json!({ "serverless": { "regions": ["us-central1"] } });
    let body = json!({ "name": "successes-restored", "provider": "GCP", "plan": "BASIC", "spec": spec });
    let cluster = id(plain.post("/clusters", body).ok());
    // The first backup is due ten seconds after the creation.
    let advance = json!({ "advance_seconds": 11 });
    plain.raw("POST", "/api/ootheca/v1/clock").json(&advance).send().ok();
    let backups = format!("/clusters/{cluster}/backups");
    eventually("the cluster has a backup", || plain.get(&backups).ok()["backups"].get(0).map(|_| ()));
    let path = format!("/clusters/{cluster}/restores");
    let made = server.post(&path, json!({ "type": "CLUSTER", "source_cluster_id": cluster }));
    let restore = format!("{path}/{}", id(made.ok()));
    calls.push(("CreateRestore", made));
    eventually("the restore is complete", || (plain.get(&restore).ok()["status"] == "SUCCESS").then_some(()));
}

fn folders(server: &Ootheca, calls: &mut Vec<(&'static str, Answer)>) {
    let made = server.post("/folders", json!({ "name": "successes" }));
    let path = format!("/folders/{}", made.text("/resource_id"));
    calls.push(("CreateFolder", made));
    calls.push(("UpdateFolder", server.patch(&path, json!({ "labels": { "a": "b" } }))));
    calls.push(("DeleteFolder", server.delete(&path)));
}

fn identity(server: &Ootheca, calls: &mut Vec<(&'static str, Answer)>) {
    let account =
        server.post("/service-accounts", json!({ "name": "robot", "description": "", "roles": [] }));
    let account_id = id(account.ok());
    calls.push(("CreateServiceAccount", account));
    let key = server.post("/api-keys", json!({ "name": "key", "service_account_id": account_id }));
    let key_id = key.text("/api_key/id");
    calls.push(("CreateApiKey", key));
    let mut call = |name, method: &str, path: String, body: Value| {
        let request = server.request(method, &path);
        calls.push((name, if body.is_null() { request.send() } else { request.json(&body).send() }));
    };
    let roles =
        json!({ "roles": [{ "name": "CLUSTER_ADMIN", "resource": { "type": "ORGANIZATION", "id": "" } }] });
    call(
        "UpdateServiceAccount",
        "PATCH",
        format!("/service-accounts/{account_id}"),
        json!({ "name": "robot two" }),
    );
    call("UpdateApiKey", "PATCH", format!("/api-keys/{key_id}"), json!({ "name": "other" }));
    call("SetRolesForUser", "PUT", format!("/roles/{account_id}"), roles);
    call("AddUserToRole", "POST", format!("/roles/{account_id}/ORGANIZATION//ORG_ADMIN"), Value::Null);
    call("RemoveUserFromRole", "DELETE", format!("/roles/{account_id}/ORGANIZATION//ORG_ADMIN"), Value::Null);
    call("DeleteApiKey", "DELETE", format!("/api-keys/{key_id}"), Value::Null);
    call("DeleteServiceAccount", "DELETE", format!("/service-accounts/{account_id}"), Value::Null);
    let issuer = json!({ "issuer_url": "https://issuer.example.com", "audience": "ootheca" });
    let made = server.post("/jwt-issuers", issuer);
    let issuer = id(made.ok());
    calls.push(("AddJWTIssuer", made));
    calls.push((
        "UpdateJWTIssuer",
        server.patch(&format!("/jwt-issuers/{issuer}"), json!({ "claim": "email" })),
    ));
    calls.push(("DeleteJWTIssuer", server.delete(&format!("/jwt-issuers/{issuer}"))));
}

fn people(server: &Ootheca, calls: &mut Vec<(&'static str, Answer)>) {
    let send = |method: &str, path: &str, body: Value| {
        let request = server.raw(method, &format!("/api/ootheca/v1{path}"));
        if body.is_null() { request.send() } else { request.json(&body).send() }
    };
    let invite = |email: &str| send("POST", "/invitations", json!({ "email": email, "roles": [] }));
    let made = invite("revoked@example.com");
    let path = format!("/invitations/{}", id(made.ok()));
    calls.push(("CreateInvitation", made));
    calls.push(("DeleteInvitation", send("DELETE", &path, Value::Null)));
    let invited = invite("guest@example.com");
    let sign_in = json!({ "link_token": invited.text("/link_token") });
    // Signing in supports neither a dry run nor an idempotency key.
    let plain = server.client().plain();
    let session = plain.raw("POST", "/api/ootheca/v1/session").json(&sign_in).send();
    let path = format!("/sessions/{}", session.text("/session/id"));
    calls.push(("DeleteSession", send("DELETE", &path, Value::Null)));
    let path = format!("/people/{}", session.text("/user/id"));
    calls.push(("DeletePerson", send("DELETE", &path, Value::Null)));
}

fn scim(server: &Ootheca, calls: &mut Vec<(&'static str, Answer)>) {
    let send = |method: &str, path: &str, body: Value| {
        let request = server.raw(method, &format!("/api/scim/v2{path}"));
        if body.is_null() { request.send() } else { request.json(&body).send() }
    };
    let patch = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "path": "displayName", "value": "Other" }],
    });
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "success", "emails": [{ "value": "success@example.com" }],
    });
    let group = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Team" });
    let made = send("POST", "/Users", user.clone());
    let user_path = format!("/Users/{}", id(made.ok()));
    calls.push(("CreateUser", made));
    calls.push(("UpdateUser", send("PUT", &user_path, user)));
    calls.push(("PatchUser", send("PATCH", &user_path, patch.clone())));
    let made = send("POST", "/Groups", group.clone());
    let group_path = format!("/Groups/{}", id(made.ok()));
    calls.push(("CreateGroup", made));
    calls.push(("UpdateGroup", send("PUT", &group_path, group)));
    calls.push(("PatchGroup", send("PATCH", &group_path, patch)));
    calls.push(("DeleteGroup", send("DELETE", &group_path, Value::Null)));
    calls.push(("DeleteUser", send("DELETE", &user_path, Value::Null)));
}
