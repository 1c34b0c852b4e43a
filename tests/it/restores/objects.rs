//! Restores of databases and tables: what they add, and that everything else stays as it is.

use crate::{
    backups::shared::{HOUR, boot, database, databases, ended, swap_repository, take_backup, time, users},
    support::{PASSWORD, id, sql_user},
};
use ootheca_testkit::{Answer, Client, Engine, Ootheca};
use serde_json::{Value, json};

/// Lets SQL clients connect to an ADVANCED cluster, which allows none at first.
#[track_caller]
pub(crate) fn allow_all(server: &Ootheca, cluster: &str) {
    let entry = json!({ "cidr_ip": "0.0.0.0", "cidr_mask": 0, "sql": true, "ui": true });
    server.post(&format!("/clusters/{cluster}/networking/allowlist"), entry).ok();
}

/// Runs SQL in a database as a user with the usual password.
#[track_caller]
pub(crate) fn run_in(server: &Ootheca, cluster: &str, user: &str, database: &str, sql: &str) -> String {
    server.psql_at(&connection_string(server, cluster, user, database), PASSWORD, sql).ok().to_owned()
}

/// A connection string without the path of the certificate, which is only valid in a shell.
#[track_caller]
pub(super) fn connection_string(server: &Ootheca, cluster: &str, user: &str, database: &str) -> String {
    let string = server.connection_string(cluster, user);
    let (address, parameters) = string.split_once("/defaultdb?").expect("the name of the database");
    let parameters = parameters.split('&').filter(|parameter| !parameter.starts_with("sslrootcert="));
    format!("{address}/{database}?{}", parameters.collect::<Vec<_>>().join("&"))
}

/// Runs SQL in the database `app` as `keeper`.
#[track_caller]
fn run_in_app(server: &Ootheca, cluster: &str, sql: &str) -> String {
    run_in(server, cluster, "keeper", "app", sql)
}

/// An ADVANCED cluster with the SQL user `keeper` and the database `app`. With PostgreSQL, the database contains the
/// tables `orders` and `items`, and the view `totals` of both.
#[track_caller]
fn furnish(server: &Ootheca, engine: Engine, name: &str) -> String {
    let cluster = id(&server.create_cluster(name, "ADVANCED"));
    sql_user(server, &cluster, "keeper");
    database(server, &cluster, "app");
    if engine == Engine::Postgres {
        allow_all(server, &cluster);
        for sql in [
            "CREATE TABLE orders (id serial PRIMARY KEY, name text)",
            "CREATE TABLE items (id int PRIMARY KEY, \"order\" int REFERENCES orders)",
            "CREATE VIEW totals AS SELECT \"order\", count(*) FROM items JOIN orders ON orders.id = \"order\" GROUP BY 1",
            "INSERT INTO orders (name) VALUES ('first'), ('second')",
            "INSERT INTO items VALUES (1, 1), (2, 1), (3, 2)",
        ] {
            run_in_app(server, &cluster, sql);
        }
    }
    cluster
}

/// Requests a restore of databases or tables with these members of the body.
#[track_caller]
fn add(client: &Client, destination: &str, kind: &str, mut body: Value) -> Answer {
    body["type"] = kind.into();
    client.post(&format!("/clusters/{destination}/restores"), body)
}

/// Restores databases or tables, and waits until the restore has ended. Returns it.
#[track_caller]
pub(super) fn added(server: &Ootheca, destination: &str, kind: &str, body: Value) -> Value {
    let asked = add(server, destination, kind, body);
    let done = ended(server, destination, &id(asked.ok()));
    let cluster = server.get(&format!("/clusters/{destination}"));
    let state = (&cluster.ok()["state"], &cluster.body["operation_status"]);
    assert_eq!(state, (&json!("CREATED"), &json!("UNSPECIFIED")), "{cluster}");
    done
}

#[track_caller]
pub(super) fn succeeded(done: &Value) {
    assert_eq!(done["status"], "SUCCESS", "{done:#}");
}

/// Asserts that a restore failed because of `what`.
#[track_caller]
fn failed(done: &Value, what: &str) {
    assert_eq!((&done["status"], &done["client_error_code"]), (&json!("FAILED"), &json!(9)), "{done:#}");
    let message = done["client_error_message"].as_str().unwrap_or_default();
    assert!(message.contains(what), "{done:#}");
}

fn a_database_is_restored_beside_the_others(engine: Engine) {
    let server = boot(engine);
    let cluster = furnish(&server, engine, "some-cluster");
    let backup = take_backup(&server, &cluster, HOUR);
    database(&server, &cluster, "later");
    sql_user(&server, &cluster, "later");
    server.delete(&format!("/clusters/{cluster}/databases/app")).ok();
    let body = json!({ "backup_id": backup["id"], "objects": [{ "database": "app" }] });
    let done = added(&server, &cluster, "DATABASE", body.clone());
    assert!(time(&done["completed_at"]) >= time(&done["created_at"]), "{done:#}");
    let expected = json!({
        "id": id(&done), "type": "DATABASE", "status": "SUCCESS", "completion_percent": 1.0,
        "backup_id": backup["id"], "backup_end_time": backup["as_of_time"],
        "source_cluster_name": "some-cluster", "destination_cluster_name": "some-cluster",
        "created_at": done["created_at"], "completed_at": done["completed_at"],
        "crdb_job_id": done["crdb_job_id"], "objects": [{ "database": "app" }],
    });
    assert_eq!(done, expected);
    assert_eq!(super::restores(&server, &cluster), [expected]);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb", "later"]);
    assert_eq!(users(&server, &cluster), ["keeper", "later"]);
    if engine == Engine::Postgres {
        let insert = "INSERT INTO orders (name) VALUES ('third') RETURNING id";
        assert_eq!(run_in_app(&server, &cluster, insert), "3");
        assert_eq!(run_in_app(&server, &cluster, "SELECT sum(count) FROM totals"), "3");
        run_in_app(&server, &cluster, "DROP VIEW totals");
        super::nothing_else_is_left(&server, 1);
    }

    // It is not replaced, but can be restored under another name.
    failed(&added(&server, &cluster, "DATABASE", body.clone()), "app");
    let mut renamed = body;
    renamed["restore_opts"] = json!({ "new_db_name": "copy", "schema_only": true, "into_db": "" });
    let done = added(&server, &cluster, "DATABASE", renamed);
    succeeded(&done);
    assert_eq!(done["restore_opts"], json!({ "new_db_name": "copy", "schema_only": true }));
    assert_eq!(databases(&server, &cluster), ["app", "copy", "defaultdb", "later"]);
    if engine == Engine::Postgres {
        assert_eq!(run_in(&server, &cluster, "keeper", "copy", "SELECT count(*) FROM orders"), "0");
        assert_eq!(run_in_app(&server, &cluster, "SELECT count(*) FROM orders"), "3");
        super::nothing_else_is_left(&server, 1);
    }
    take_backup(&server, &cluster, HOUR);
}

#[test]
fn a_database_is_restored_beside_the_others_on_the_simulated_engine() {
    a_database_is_restored_beside_the_others(Engine::Simulated);
}

#[test]
fn a_database_is_restored_beside_the_others_on_postgres() {
    a_database_is_restored_beside_the_others(Engine::Postgres);
}

fn databases_of_another_cluster_are_restored_together_or_not_at_all(engine: Engine) {
    let server = boot(engine);
    let source = furnish(&server, engine, "source-cluster");
    database(&server, &source, "shop");
    let destination = id(&server.create_cluster("destination-cluster", "ADVANCED"));
    take_backup(&server, &source, HOUR);
    database(&server, &destination, "shop");
    let both = json!([{ "database": "shop" }, { "database": "app" }]);
    let body = json!({ "source_cluster_id": source, "objects": both });
    failed(&added(&server, &destination, "DATABASE", body.clone()), "shop");
    assert_eq!(databases(&server, &destination), ["defaultdb", "shop"]);
    let nowhere =
        json!({ "source_cluster_id": source, "objects": [{ "database": "app" }, { "database": "nowhere" }] });
    failed(&added(&server, &destination, "DATABASE", nowhere), "nowhere");
    assert_eq!(databases(&server, &destination), ["defaultdb", "shop"]);
    server.delete(&format!("/clusters/{destination}/databases/shop")).ok();
    let done = added(&server, &destination, "DATABASE", body);
    succeeded(&done);
    assert_eq!(done["objects"], json!([{ "database": "app" }, { "database": "shop" }]), "sorted");
    assert_eq!(databases(&server, &destination), ["app", "defaultdb", "shop"]);
    if engine == Engine::Postgres {
        allow_all(&server, &destination);
        sql_user(&server, &destination, "keeper");
        assert_eq!(run_in_app(&server, &destination, "SELECT count(*) FROM orders"), "2");
        super::nothing_else_is_left(&server, 2);
    }
}

#[test]
fn databases_of_another_cluster_are_restored_together_or_not_at_all_on_the_simulated_engine() {
    databases_of_another_cluster_are_restored_together_or_not_at_all(Engine::Simulated);
}

#[test]
fn databases_of_another_cluster_are_restored_together_or_not_at_all_on_postgres() {
    databases_of_another_cluster_are_restored_together_or_not_at_all(Engine::Postgres);
}

#[test]
fn tables_are_restored_into_a_database_that_exists_on_the_simulated_engine() {
    let server = boot(Engine::Simulated);
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    take_backup(&server, &cluster, HOUR);
    let objects = json!([{ "database": "app", "table": "orders" }]);
    let body = json!({ "source_cluster_id": cluster, "objects": objects });
    let done = added(&server, &cluster, "TABLE", body.clone());
    succeeded(&done);
    assert_eq!((&done["type"], &done["objects"]), (&json!("TABLE"), &objects));
    assert!(done.get("restore_opts").is_none(), "{done:#}");
    let mut elsewhere = body.clone();
    elsewhere["restore_opts"] = json!({ "into_db": "nowhere" });
    failed(&added(&server, &cluster, "TABLE", elsewhere), "nowhere");
    server.delete(&format!("/clusters/{cluster}/databases/app")).ok();
    failed(&added(&server, &cluster, "TABLE", body), "app");
}

#[test]
fn tables_are_restored_with_what_they_need() {
    let server = boot(Engine::Postgres);
    let cluster = furnish(&server, Engine::Postgres, "some-cluster");
    take_backup(&server, &cluster, HOUR);
    run_in_app(&server, &cluster, "DROP TABLE items CASCADE");
    run_in_app(&server, &cluster, "UPDATE orders SET name = 'changed'");
    let tables = |names: &[&str], options: Value| {
        let object = |name: &&str| json!({ "database": "app", "schema": "public", "table": name });
        let objects: Vec<Value> = names.iter().map(object).collect();
        let body = json!({ "source_cluster_id": cluster, "objects": objects, "restore_opts": options });
        added(&server, &cluster, "TABLE", body)
    };
    let without_keys = || json!({ "skip_missing_foreign_keys": true });
    failed(&tables(&["items"], json!({})), "orders");
    failed(&tables(&["items", "orders"], json!({})), "public.orders");
    failed(&tables(&["nothing"], json!({})), "nothing");
    let done = tables(&["items"], without_keys());
    succeeded(&done);
    assert_eq!(done["objects"], json!([{ "database": "app", "schema": "public", "table": "items" }]));
    assert_eq!(done["restore_opts"], without_keys());
    let joined = "SELECT string_agg(items.id || ' ' || name, ',' ORDER BY items.id) \
                  FROM items JOIN orders ON orders.id = \"order\"";
    assert_eq!(run_in_app(&server, &cluster, joined), "1 changed,2 changed,3 changed");
    failed(&tables(&["items"], without_keys()), "public.items");

    // Both tables, with the foreign key between them.
    database(&server, &cluster, "copy");
    succeeded(&tables(&["orders", "items"], json!({ "into_db": "copy" })));
    let run_in_copy = |sql: &str| run_in(&server, &cluster, "keeper", "copy", sql);
    assert_eq!(run_in_copy(joined), "1 first,2 first,3 second");
    assert_eq!(
        run_in_copy("DELETE FROM items WHERE id > 1; DELETE FROM orders WHERE id > 1 RETURNING name"),
        "second"
    );
    assert_eq!(run_in_app(&server, &cluster, "SELECT count(*) FROM items"), "3");
    super::nothing_else_is_left(&server, 1);
}

/// Asserts that a restore is refused because another one is running.
#[track_caller]
fn is_refused(answer: &Answer) {
    assert!(answer.refused(400).contains("lock"), "{answer}");
    assert_eq!(answer.body["code"], 9, "{answer}");
}

#[test]
fn a_cluster_stays_usable_while_a_database_is_restored() {
    let server = boot(Engine::Postgres);
    let cluster = furnish(&server, Engine::Postgres, "some-cluster");
    take_backup(&server, &cluster, HOUR);
    let string = connection_string(&server, &cluster, "keeper", "defaultdb");
    let mut session = server.session_at(&string, PASSWORD);
    session.run("CREATE TABLE kept AS SELECT 7 AS n").expect("created");
    swap_repository(&server);
    let body = json!({
        "source_cluster_id": cluster, "objects": [{ "database": "app" }], "restore_opts": { "new_db_name": "copy" },
    });
    let asked = add(&server, &cluster, "DATABASE", body.clone());
    assert_eq!(asked.ok()["status"], "PENDING");
    let shown = server.get(&format!("/clusters/{cluster}"));
    let state = (&shown.ok()["state"], &shown.body["operation_status"]);
    assert_eq!(state, (&json!("CREATED"), &json!("UNSPECIFIED")), "{shown}");
    is_refused(&add(&server, &cluster, "DATABASE", body));
    is_refused(&add(&server, &cluster, "CLUSTER", json!({ "source_cluster_id": cluster })));
    server.patch(&format!("/clusters/{cluster}"), json!({ "labels": { "a": "b" } })).ok();
    database(&server, &cluster, "later");
    assert_eq!(session.run("SELECT n FROM kept").as_deref(), Ok("7"));
    assert_eq!(run_in(&server, &cluster, "keeper", "defaultdb", "SELECT n FROM kept"), "7");
    swap_repository(&server);
    let done = ended(&server, &cluster, &id(&asked.body));
    succeeded(&done);
    assert_eq!(session.run("SELECT n FROM kept").as_deref(), Ok("7"), "the session goes on");
    assert_eq!(databases(&server, &cluster), ["app", "copy", "defaultdb", "later"]);
    let shown = server.get(&format!("/clusters/{cluster}"));
    assert_eq!(shown.ok()["labels"], json!({ "a": "b" }));
}

#[test]
fn a_cluster_can_be_deleted_while_a_database_is_restored() {
    let server = boot(Engine::Postgres);
    let cluster = furnish(&server, Engine::Postgres, "some-cluster");
    take_backup(&server, &cluster, HOUR);
    swap_repository(&server);
    let objects = json!([{ "database": "app" }]);
    let asked =
        add(&server, &cluster, "DATABASE", json!({ "source_cluster_id": cluster, "objects": objects }));
    asked.ok();
    server.delete(&format!("/clusters/{cluster}")).ok();
    swap_repository(&server);
    let done = ended(&server, &cluster, &id(&asked.body));
    assert_eq!((&done["status"], &done["client_error_code"]), (&json!("FAILED"), &json!(10)), "{done:#}");
    super::nothing_else_is_left(&server, 0);
}
