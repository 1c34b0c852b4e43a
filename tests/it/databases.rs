//! SQL users and databases: names, passwords, missing objects, and conflicts.

use crate::support::{PASSWORD, column, id, simulated};
use serde_json::json;

#[test]
fn names_and_passwords_follow_their_rules() {
    let server = simulated();
    let at = format!("/clusters/{}", id(&server.create_cluster("some-cluster", "BASIC")));
    let long = "x".repeat(64);
    for name in [
        "root",
        "admin",
        "ADMIN",
        "postgres",
        "public",
        "node",
        "pg_monitor",
        "",
        "has blank",
        "-a",
        "a'b",
        "é",
        &long,
    ] {
        let answer = server.post(&format!("{at}/sql-users"), json!({ "name": name, "password": PASSWORD }));
        assert!(answer.refused(400).contains("name"), "{name:?}: {answer}");
    }
    for password in ["", "elevenchars", "short"] {
        let answer =
            server.post(&format!("{at}/sql-users"), json!({ "name": "a-user", "password": password }));
        let message = answer.refused(400);
        assert!(message.contains("password") && message.contains("12"), "{answer}");
        assert!(password.is_empty() || !message.contains(password), "no password in a message");
    }
    server.post(&format!("{at}/sql-users"), json!({ "name": "a-user" })).refused(400);
    for name in ["postgres", "template0", "template1", "system", "", "a/b", "a b", "\"", &long] {
        let answer = server.post(&format!("{at}/databases"), json!({ "name": name }));
        assert!(answer.refused(400).contains("name"), "{name:?}: {answer}");
    }
    for name in ["a", "_x", "0day", "A.b-c_d", &"y".repeat(63)] {
        server.post(&format!("{at}/databases"), json!({ "name": name })).ok();
        server.post(&format!("{at}/sql-users"), json!({ "name": name, "password": PASSWORD })).ok();
    }
}

#[test]
fn missing_objects_return_404_and_existing_ones_409() {
    let server = simulated();
    let at = format!("/clusters/{}", id(&server.create_cluster("some-cluster", "BASIC")));
    let password = json!({ "password": PASSWORD });
    for name in ["nobody", "root", "postgres", "admin"] {
        server.put(&format!("{at}/sql-users/{name}/password"), password.clone()).refused(404);
        server.delete(&format!("{at}/sql-users/{name}")).refused(404);
    }
    for name in ["nothing", "template1", "postgres"] {
        server.patch(&format!("{at}/databases/{name}"), json!({ "new_name": "other" })).refused(404);
        server.delete(&format!("{at}/databases/{name}")).refused(404);
    }
    server.post(&format!("{at}/databases"), json!({ "name": "defaultdb" })).refused(409);
    server.post(&format!("{at}/databases"), json!({ "name": "second" })).ok();
    server.patch(&format!("{at}/databases/second"), json!({ "new_name": "defaultdb" })).refused(409);
    server.patch(&format!("{at}/databases/second"), json!({})).refused(400);
    server.post(&format!("{at}/sql-users"), json!({ "name": "twice", "password": PASSWORD })).ok();
    server.post(&format!("{at}/sql-users"), json!({ "name": "twice", "password": PASSWORD })).refused(409);
    let nowhere = "/clusters/6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f";
    server.get(&format!("{nowhere}/sql-users")).refused(404);
    server.post(&format!("{nowhere}/sql-users"), json!({ "name": "a", "password": PASSWORD })).refused(404);
}

#[test]
fn lists_are_ordered_by_bytes() {
    let server = simulated();
    let at = format!("/clusters/{}", id(&server.create_cluster("some-cluster", "BASIC")));
    let mut names = ["Zebra", "ant", "Bee", "_under", "0zero", "cat", "defaultdb"];
    for name in &names[..6] {
        server.post(&format!("{at}/databases"), json!({ "name": name })).ok();
    }
    names.sort_unstable();
    let (mut seen, mut page) = (Vec::new(), String::new());
    loop {
        let answer = server.get(&format!("{at}/databases?pagination.limit=2&pagination.page={page}"));
        seen.extend(column(&answer.ok()["databases"], "name"));
        page = answer.text("/pagination/next_page");
        if page.is_empty() {
            break;
        }
    }
    assert_eq!(seen, names);
}
