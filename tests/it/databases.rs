//! SQL users and databases: names, passwords, missing objects, and conflicts.

use crate::{
    sql_names::{at, databases, with_name},
    support::{PASSWORD, column, id, real, simulated, sql_user},
};
use ootheca_testkit::{Ootheca, Signal, eventually, processes};
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

/// Creates a database, and interrupts `DROP DATABASE` for it, so that PostgreSQL marks it as invalid.
fn create_invalid(server: &Ootheca, cluster: &str, user: &str, name: &str, prepare: impl Fn()) {
    let mut session = server.session(cluster, user, PASSWORD);
    let mut milliseconds = 0;
    eventually("the database is invalid", || {
        milliseconds = milliseconds % 20 + 1;
        let found = format!("SELECT datconnlimit FROM pg_database WHERE datname = '{name}'");
        session.run("SET statement_timeout = 0").expect("a setting");
        if session.run(&found).expect("a row").is_empty() {
            session.run(&format!("CREATE DATABASE {name}")).expect("a database");
            prepare();
        }
        session.run(&format!("SET statement_timeout = {milliseconds}")).expect("a setting");
        session.run(&format!("DROP DATABASE {name}")).expect("a result");
        session.run("SET statement_timeout = 0").expect("a setting");
        (session.run(&found).expect("a row") == "-2").then_some(())
    });
}

#[test]
fn a_database_whose_drop_was_interrupted_can_be_deleted() {
    let server = real();
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    sql_user(&server, &cluster, "keeper");
    create_invalid(&server, &cluster, "keeper", "zz", || {});
    assert_eq!(databases(&server, &cluster), ["defaultdb", "zz"]);
    let path = at(&cluster, "databases", "zz");
    server.post(&format!("/clusters/{cluster}/databases"), json!({ "name": "zz" })).refused(409);
    let answer = server.patch(&path, json!({ "new_name": "other" }));
    assert!(answer.refused(400).contains("can only be deleted"), "{answer}");
    server.delete(&path).ok();
    server.delete(&path).refused(404);
    assert_eq!(databases(&server, &cluster), ["defaultdb"]);
    server.post(&format!("/clusters/{cluster}/databases"), json!({ "name": "zz" })).ok();
    let string = server.connection_string(&cluster, "keeper").replace("/defaultdb", "/zz");
    assert_eq!(server.psql_at(&string, PASSWORD, "SELECT 1").ok(), "1");
    server.delete(&path).ok();

    // The same for a name that is not UTF-8.
    create_invalid(&server, &cluster, "keeper", "zz", || {});
    let create = "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'";
    server.psql(&cluster, "keeper", PASSWORD, create).ok();
    with_name(&server, &cluster, "ALTER DATABASE zz RENAME TO %I", r"\x7a7aff");
    let path = at(&cluster, "databases", r"zz\xff");
    server.delete(&path).ok();
    assert_eq!(databases(&server, &cluster), ["ascii", "defaultdb"]);
}

#[test]
fn a_user_who_owns_objects_in_an_invalid_database_can_be_deleted_after_it() {
    let server = real();
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    sql_user(&server, &cluster, "owner");
    let string = server.connection_string(&cluster, "owner").replace("/defaultdb", "/zz");
    create_invalid(&server, &cluster, "owner", "zz", || {
        server.psql_at(&string, PASSWORD, "CREATE SCHEMA own; CREATE TABLE own.owned (n int)").ok();
    });
    let path = at(&cluster, "sql-users", "owner");
    let answer = server.delete(&path);
    assert!(answer.refused(400).contains("zz; delete these databases first"), "{answer}");
    server.delete(&at(&cluster, "databases", "zz")).ok();
    server.delete(&path).ok();
    server.delete(&path).refused(404);
    sql_user(&server, &cluster, "owner");
}

#[test]
fn the_number_of_tables_includes_every_change() {
    let server = real();
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    sql_user(&server, &cluster, "keeper");
    let path = format!("/clusters/{cluster}/databases");
    for name in ["one", "two"] {
        server.post(&path, json!({ "name": name })).ok();
    }
    let counts = || {
        let list = server.get(&path);
        let count = |name: &str| {
            let databases = list.ok()["databases"].as_array().expect("a list");
            let database = databases.iter().find(|database| database["name"] == name).expect("it is listed");
            database["table_count"].as_str().map(str::to_owned)
        };
        [count("one"), count("two")].map(|count| count.expect("it is counted"))
    };
    assert_eq!(counts(), ["0", "0"]);
    let string = server.connection_string(&cluster, "keeper").replace("/defaultdb", "/one");
    let mut session = server.session_at(&string, PASSWORD);
    for (statement, expected) in [
        ("CREATE TABLE first (n int)", "1"),
        ("INSERT INTO first VALUES (1)", "1"),
        ("CREATE TABLE second (n int) PARTITION BY RANGE (n)", "2"),
        ("CREATE VIEW third AS SELECT 1", "2"),
        ("DROP TABLE first", "1"),
    ] {
        session.run(statement).expect(statement);
        assert_eq!(counts(), [expected, "0"], "{statement}");
    }
    drop(session);
    assert_eq!(counts(), ["1", "0"]);
    for (statement, expected) in [("CREATE TABLE fourth ()", "2"), ("DROP TABLE second", "1")] {
        server.psql_at(&string, PASSWORD, statement).ok();
        assert_eq!(counts(), [expected, "0"], "{statement}");
        assert_eq!(counts(), [expected, "0"], "again");
    }
    // A crash resets the counters of the server.
    let postmaster = server.postmaster(&cluster);
    processes::signal(postmaster, Signal::KILL);
    eventually("the server is started again", || (server.postmaster(&cluster) != postmaster).then_some(()));
    eventually("it counts again", || (server.get(&path).status == 200).then_some(()));
    server.psql_at(&string, PASSWORD, "CREATE TABLE fifth ()").ok();
    assert_eq!(counts(), ["2", "0"]);
}

#[test]
fn a_list_connects_only_to_databases_that_have_changed() {
    let server = real();
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    sql_user(&server, &cluster, "keeper");
    let path = format!("/clusters/{cluster}/databases");
    for n in 0..10 {
        server.post(&path, json!({ "name": format!("app_{n}") })).ok();
    }
    let sql = "SELECT sum(sessions) FROM pg_stat_database WHERE datname LIKE 'app%'";
    let sessions = || -> u64 {
        server.psql(&cluster, "keeper", PASSWORD, sql).ok().parse().expect("a number of sessions")
    };
    server.get(&path).ok();
    // Without this, a list whose sessions the server has not yet counted would look like one without sessions.
    eventually("the first list has connected to all", || (sessions() >= 10).then_some(()));
    eventually("lists open no sessions", || {
        let before = sessions();
        server.get(&path).ok();
        (sessions() == before).then_some(())
    });
}
