//! A data directory that an earlier version has created.
//!
//! Commit 1f1ccbb has created the fixture, with the simulated engine and calls of the API: a folder with a
//! cluster, which has a SQL user and a database, a service account, and an invitation.

use crate::support::{PROGRAM, audit_log, column, id, sql_user};
use ootheca_testkit::ServerBuilder;
use rusqlite::Connection;
use serde_json::json;
use std::{fs, path::Path};

#[test]
fn data_of_an_earlier_version_is_opened() {
    let mut server = ServerBuilder::new(PROGRAM).idle();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/it/fixtures/earlier-data");
    let data = server.data_dir();
    fs::create_dir_all(data.join("simulated")).expect("a directory");
    for name in ["admin-api-key", "simulated/8c197b07-6fa7-4f2e-b2c3-b7f2ffa8046c.json"] {
        fs::copy(fixture.join(name), data.join(name)).expect("copied");
    }
    let rows = fs::read_to_string(fixture.join("store.sql")).expect("the rows");
    Connection::open(data.join("store.db")).expect("a file").execute_batch(&rows).expect("the rows");
    server.start();

    let clusters = server.get("/clusters");
    let cluster = &clusters.ok()["clusters"][0];
    assert_eq!((&cluster["name"], &cluster["state"]), (&json!("kept-cluster"), &json!("CREATED")));
    assert_eq!(column(&cluster["ootheca"]["conditions"], "kind"), ["BackupsDisabled"], "{cluster}");
    let path = format!("/clusters/{}", id(cluster));
    assert_eq!(column(&server.get(&format!("{path}/sql-users")).ok()["users"], "name"), ["keeper"]);
    let databases = server.get(&format!("{path}/databases"));
    assert_eq!(column(&databases.ok()["databases"], "name"), ["defaultdb", "shop"]);
    let backups = server.get(&format!("{path}/backups-config"));
    let expected = json!({ "enabled": true, "frequency_minutes": 1440, "retention_days": 30 });
    assert_eq!(*backups.ok(), expected, "a cluster without a configuration has the default one");
    let accounts = server.get("/service-accounts");
    assert!(column(&accounts.ok()["service_accounts"], "name").contains(&"robot".to_owned()), "{accounts}");
    let people = server.raw("GET", "/api/ootheca/v1/people").send();
    assert_eq!(column(&people.ok()["people"], "email"), ["ada@example.com"]);
    let actions = column(&json!(audit_log(&server)), "action");
    for action in ["CREATE_FOLDER", "CREATE_CLUSTER", "CREATE_SQL_USER", "INVITE_USER_TO_ORGANIZATION"] {
        assert!(actions.contains(&format!("AUDIT_LOG_ACTION_{action}")), "{actions:?}");
    }
    let verified = server.run(&["audit", "verify", "--json"]);
    assert!(verified.status.success(), "{verified:?}");
    // The SQL users, which were in one row, are in several after a change.
    let rows = Connection::open(data.join("store.db")).expect("the store");
    let documents = |condition: &str| -> Vec<String> {
        let query = format!("SELECT document FROM entries WHERE {condition} ORDER BY id");
        let mut statement = rows.prepare(&query).expect("a query");
        let documents = statement.query_map([], |row| row.get(0)).expect("rows");
        documents.collect::<Result<_, _>>().expect("documents")
    };
    sql_user(&server, &id(cluster), "second");
    assert_eq!(column(&server.get(&format!("{path}/sql-users")).ok()["users"], "name"), ["keeper", "second"]);
    let header = documents("kind = 'sql_catalog'").concat();
    assert!(header.contains("\"iterations\":4096") && !header.contains("keeper"), "{header}");
    let buckets = documents("kind = 'sql_catalog_bucket'");
    for name in ["keeper", "second", "defaultdb", "shop"] {
        let known = buckets.iter().filter(|bucket| bucket.contains(&format!("\"name\":\"{name}\""))).count();
        assert_eq!(known, 1, "{name}: {buckets:?}");
    }
    server.delete(&path).ok();
    assert_eq!(documents("kind LIKE 'sql_catalog%'"), Vec::<String>::new(), "nothing of the cluster is left");
}
