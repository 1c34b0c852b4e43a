//! SQL through the gateway, with real `psql`.

use crate::support::{PASSWORD, column, id, real, simulated, sql_user};
use ootheca_testkit::{Ootheca, eventually, processes};
use serde_json::json;
use std::time::Instant;

fn furnished() -> (Ootheca, String) {
    let server = real();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    sql_user(&server, &cluster, "keeper");
    (server, cluster)
}

#[test]
fn the_connection_string_works_unchanged() {
    let (server, cluster) = furnished();
    let string = server.connection_string(&cluster, "keeper");
    assert!(string.contains("sslmode=verify-full") && string.contains("localhost"), "{string}");
    let query = "SELECT current_database(), current_user";
    assert_eq!(server.psql_at(&string, PASSWORD, query).ok(), "defaultdb|keeper");
    server.psql_at(&string, "not the password", "SELECT 1").fails("password authentication failed");
    server.psql(&cluster, "nobody", PASSWORD, "SELECT 1").fails("authentication failed");
    for reserved in ["ootheca", "postgres"] {
        let spoken = server.psql(&cluster, reserved, PASSWORD, "SELECT 1");
        assert!(!spoken.success, "{reserved}: {spoken:?}");
    }
    let plain = string.replace("sslmode=verify-full", "sslmode=disable");
    server.psql_at(&plain, PASSWORD, "SELECT 1").fails("unsupported startup message");
    let routing_id = server.get(&format!("/clusters/{cluster}")).text("/config/serverless/routing_id");
    let (without_options, _) = string.split_once("&options=").expect("options");
    server.psql_at(without_options, PASSWORD, "SELECT 1").fails("missing cluster identifier");
    let prefixed = without_options.replace("/defaultdb", &format!("/{routing_id}.defaultdb"));
    assert_eq!(server.psql_at(&prefixed, PASSWORD, query).ok(), "defaultdb|keeper");
    let by_name = without_options.replace("@localhost:", &format!("@{routing_id}.localhost:"));
    let by_name = format!("{by_name}&hostaddr=127.0.0.1");
    assert_eq!(
        server.psql_at(&by_name, PASSWORD, query).ok(),
        "defaultdb|keeper",
        "by the name that TLS says"
    );
    let unknown = string.replace(&routing_id, "some-cluster-1");
    server.psql_at(&unknown, PASSWORD, "SELECT 1").fails("cluster some-cluster-1 not found");
}

#[test]
fn connection_strings_work_for_every_name() {
    let (server, cluster) = furnished();
    server.connection_string(&cluster, "keeper");
    sql_user(&server, &cluster, "max-roach_1.a");
    for (name, shown) in [
        ("shop-42.orders", "shop-42.orders"),
        ("some-cluster-1.orders", "some-cluster-1.orders"),
        ("a.b-1.c", "a.b-1.c"),
        (".a", ".a"),
        ("a.", "a."),
        ("app-db_1", "app-db_1"),
        ("50% & 'more'", "50%25%20%26%20%27more%27"),
    ] {
        let create = format!("CREATE DATABASE \"{name}\"");
        server.psql(&cluster, "keeper", PASSWORD, &create).ok();
        let query = format!("sql_user=max-roach_1.a&os=LINUX&database={shown}");
        let answer = server.get(&format!("/clusters/{cluster}/connection-string?{query}"));
        assert_eq!(answer.text("/params/Database"), name);
        let string = answer.text("/connection_string");
        assert!(string.starts_with("postgresql://max-roach_1.a@localhost:"), "{string}");
        assert!(string.contains(&format!("{shown}?sslmode=verify-full")), "{string}");
        let spoken = server.psql_at(&string, PASSWORD, "SELECT current_database(), current_user");
        assert_eq!(spoken.ok(), format!("{name}|max-roach_1.a"), "{string}");
    }
}

#[test]
fn changes_of_passwords_and_users_take_effect_immediately() {
    let (server, cluster) = furnished();
    let user = format!("/clusters/{cluster}/sql-users/keeper");
    for password in ["quote ' and \" backslash \\", "пароль из букв", "$1$SCRAM-SHA-256$4096:"] {
        server.put(&format!("{user}/password"), json!({ "password": password })).ok();
        assert_eq!(server.psql(&cluster, "keeper", password, "SELECT 1").ok(), "1", "{password}");
        server.psql(&cluster, "keeper", PASSWORD, "SELECT 1").fails("password authentication failed");
    }
    let last = "the last password";
    server.put(&format!("{user}/password"), json!({ "password": last })).ok();
    let mut session = server.session(&cluster, "keeper", last);
    session.run("CREATE TABLE owned (n int)").expect("a table");
    server.delete(&user).ok();
    let gone = eventually("its session ends", || session.run("SELECT 1").err());
    assert!(gone.contains("connection") || gone.contains("terminating"), "{gone}");
    server.psql(&cluster, "keeper", last, "SELECT 1").fails("authentication failed");
    sql_user(&server, &cluster, "heir");
    assert_eq!(
        server.psql(&cluster, "heir", PASSWORD, "SELECT count(*) FROM owned").ok(),
        "0",
        "what it owned stays"
    );
}

#[test]
fn all_names_are_quoted() {
    let (server, cluster) = furnished();
    for name in ["UPPER.Case-1", "0day", "select", "_a"] {
        sql_user(&server, &cluster, name);
        assert_eq!(server.psql(&cluster, name, PASSWORD, "SELECT current_user").ok(), name);
        let databases = format!("/clusters/{cluster}/databases");
        server.post(&databases, json!({ "name": name })).ok();
        let string = server.connection_string(&cluster, "keeper").replace("/defaultdb", &format!("/{name}"));
        // A dot in a database name would be interpreted as a routing ID.
        if !name.contains('.') {
            assert_eq!(server.psql_at(&string, PASSWORD, "SELECT current_database()").ok(), name);
        }
        server.delete(&format!("{databases}/{name}")).ok();
        server.delete(&format!("/clusters/{cluster}/sql-users/{name}")).ok();
    }
}

#[test]
fn api_users_administer_only_their_cluster() {
    let (server, cluster) = furnished();
    sql_user(&server, &cluster, "second");
    let good = [
        "CREATE DATABASE made_in_sql",
        "CREATE ROLE reporter LOGIN PASSWORD 'reporter password'",
        "CREATE TABLE t (n int); INSERT INTO t VALUES (1)",
        "GRANT SELECT ON t TO reporter",
        "CREATE SCHEMA s; CREATE TABLE s.u ()",
    ];
    for sql in good {
        server.psql(&cluster, "keeper", PASSWORD, sql).ok();
    }
    assert_eq!(server.psql(&cluster, "reporter", "reporter password", "SELECT n FROM t").ok(), "1");
    let list = server.get(&format!("/clusters/{cluster}/databases"));
    assert_eq!(column(&list.ok()["databases"], "name"), ["defaultdb", "made_in_sql"]);
    let bad = [
        "CREATE ROLE god SUPERUSER LOGIN",
        "ALTER ROLE keeper SUPERUSER",
        "ALTER ROLE ootheca PASSWORD 'hacked hacked'",
        "SET ROLE ootheca",
        "SET SESSION AUTHORIZATION ootheca",
        "GRANT ootheca TO keeper",
        "DROP ROLE ootheca",
        "COPY t FROM '/etc/passwd'",
        "COPY t TO '/tmp/ootheca-should-not-exist'",
        "COPY t TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT lo_import('/etc/passwd')",
        "ALTER SYSTEM SET fsync = off",
        "GRANT pg_execute_server_program TO keeper",
        "GRANT pg_read_server_files TO keeper",
        "GRANT pg_write_server_files TO keeper",
        "UPDATE pg_authid SET rolsuper = true WHERE rolname = current_user",
        "DELETE FROM pg_authid WHERE rolname = 'ootheca'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc.so.6', 'getpid'",
    ];
    for sql in bad {
        let spoken = server.psql(&cluster, "keeper", PASSWORD, sql);
        assert!(!spoken.success, "{sql}: {spoken:?}");
    }
    let members =
        "SELECT pg_has_role('admin', 'member'), rolsuper FROM pg_roles WHERE rolname = current_user";
    assert_eq!(server.psql(&cluster, "second", PASSWORD, members).ok(), "t|f");
}

#[test]
fn the_api_works_if_a_tenant_changes_the_role_admin() {
    let (server, cluster) = furnished();
    let at = format!("/clusters/{cluster}");
    let changes = [
        "ALTER ROLE admin LOGIN PASSWORD 'a password of admin'",
        "ALTER ROLE admin NOCREATEROLE NOCREATEDB",
        "ALTER ROLE admin RENAME TO admon",
        "ALTER ROLE admin RENAME TO admon; CREATE ROLE admin LOGIN",
    ];
    for (n, change) in changes.into_iter().enumerate() {
        server.psql(&cluster, "keeper", PASSWORD, change).ok();
        let user = format!("user{n}");
        sql_user(&server, &cluster, &user);
        server.post(&format!("{at}/databases"), json!({ "name": user })).ok();
        let role = "SELECT rolcanlogin, rolcreaterole, rolcreatedb, pg_has_role('admin', 'member') \
                    FROM pg_roles WHERE rolname = 'admin'";
        assert_eq!(server.psql(&cluster, &user, PASSWORD, role).ok(), "f|t|t|t", "{change}");
        server.psql(&cluster, "keeper", PASSWORD, "ALTER ROLE admin RENAME TO admon").ok();
        server.put(&format!("{at}/sql-users/admon/password"), json!({ "password": PASSWORD })).refused(404);
        server.delete(&format!("{at}/sql-users/{user}")).ok();
    }
    let users = server.get(&format!("{at}/sql-users"));
    assert_eq!(
        column(&users.ok()["users"], "name")[1..],
        ["keeper"],
        "the other role admin has a different name"
    );
}

#[test]
fn a_database_marked_as_template_is_listed_and_dropped() {
    let (server, cluster) = furnished();
    let at = format!("/clusters/{cluster}/databases");
    server.psql(&cluster, "keeper", PASSWORD, "ALTER DATABASE defaultdb IS_TEMPLATE true").ok();
    let names = || column(&server.get(&at).ok()["databases"], "name");
    assert_eq!(names(), ["defaultdb"]);
    server.patch(&format!("{at}/defaultdb"), json!({ "new_name": "renamed" })).ok();
    server.delete(&format!("{at}/renamed")).ok();
    assert_eq!(names(), [""; 0]);
}

#[test]
fn tenants_are_isolated() {
    let (server, first) = furnished();
    let second = id(&server.create_cluster("other-cluster", "BASIC"));
    server.psql(&first, "keeper", PASSWORD, "CREATE TABLE secret_of_first (n int)").ok();
    server.psql(&second, "keeper", PASSWORD, "SELECT 1").fails("authentication failed");
    sql_user(&server, &second, "other");
    server.psql(&second, "other", PASSWORD, "SELECT n FROM secret_of_first").fails("does not exist");
    server.psql(&first, "other", PASSWORD, "SELECT 1").fails("authentication failed");
    let systems = [&first, &second].map(|cluster| {
        let user = if cluster == &first { "keeper" } else { "other" };
        server
            .psql(cluster, user, PASSWORD, "SELECT oid FROM pg_database WHERE datname = current_database()")
            .ok()
            .to_owned()
    });
    println!(
        "sql: databases {systems:?} in servers {} and {}",
        server.postmaster(&first),
        server.postmaster(&second)
    );
    assert_ne!(server.postmaster(&first), server.postmaster(&second));
}

#[test]
fn a_closed_allowlist_refuses_and_terminates_sessions() {
    let (server, cluster) = furnished();
    let path = format!("/clusters/{cluster}/networking/allowlist");
    let mut session = server.session(&cluster, "keeper", PASSWORD);
    assert_eq!(session.run("SELECT 1").as_deref(), Ok("1"));
    server.delete(&format!("{path}/0.0.0.0/0")).ok();
    eventually("the open session is terminated", || session.run("SELECT 1").err());
    server.psql(&cluster, "keeper", PASSWORD, "SELECT 1").fails("connection refused");
    let entry =
        |ip: &str, mask: i64, sql: bool| json!({ "cidr_ip": ip, "cidr_mask": mask, "sql": sql, "ui": true });
    server.post(&path, entry("10.0.0.0", 8, true)).ok();
    server.post(&path, entry("127.0.0.0", 8, false)).ok();
    server.psql(&cluster, "keeper", PASSWORD, "SELECT 1").fails("connection refused");
    server.patch(&format!("{path}/127.0.0.0/8"), json!({ "sql": true, "ui": false })).ok();
    assert_eq!(server.psql(&cluster, "keeper", PASSWORD, "SELECT 1").ok(), "1");
}

#[test]
fn databases_are_renamed_and_dropped() {
    let (server, cluster) = furnished();
    let path = format!("/clusters/{cluster}/databases");
    server.post(&path, json!({ "name": "app" })).ok();
    let at = |database: &str| {
        server.connection_string(&cluster, "keeper").replace("/defaultdb", &format!("/{database}"))
    };
    server.psql_at(&at("app"), PASSWORD, "CREATE TABLE a (); CREATE TABLE b ()").ok();
    let list = server.get(&path);
    let app =
        list.ok()["databases"].as_array().expect("a list").iter().find(|one| one["name"] == "app").cloned();
    assert_eq!(app, Some(json!({ "name": "app", "table_count": "2" })));
    let mut inside = server.session_at(&at("app"), PASSWORD);
    inside.run("SELECT 1").expect("a session");
    server.patch(&format!("{path}/app"), json!({ "new_name": "renamed" })).ok();
    let ended = inside.run("SELECT 1").expect_err("the session has ended");
    assert!(ended.contains("connection") || ended.contains("terminating"), "{ended}");
    assert_eq!(server.psql_at(&at("renamed"), PASSWORD, "SELECT count(*) FROM a").ok(), "0");
    let mut session = server.session(&cluster, "keeper", PASSWORD);
    session.run("SELECT 1").expect("a session elsewhere");
    server.delete(&format!("{path}/renamed")).ok();
    server.psql_at(&at("renamed"), PASSWORD, "SELECT 1").fails("does not exist");
    session.run("SELECT 1").expect("still there");
}

#[test]
fn a_running_query_can_be_cancelled() {
    let (server, cluster) = furnished();
    let mut session = server.session(&cluster, "keeper", PASSWORD);
    session.run("SELECT 1").expect("a session");
    let begun = Instant::now();
    session.send("SELECT pg_sleep(25)");
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%sleep(25)%' AND pid <> pg_backend_pid()";
    eventually("the query runs", || {
        (server.psql(&cluster, "keeper", PASSWORD, running).ok() == "1").then_some(())
    });
    processes::interrupt(session.pid());
    let words = session.answer().expect_err("the query was canceled");
    assert!(words.contains("canceling statement due to user request"), "{words}");
    assert!(begun.elapsed().as_secs() < 20, "long before the end of the query");
}

#[test]
fn the_gateway_stops_with_the_cluster() {
    let (server, cluster) = furnished();
    let string = server.connection_string(&cluster, "keeper");
    let mut session = server.session(&cluster, "keeper", PASSWORD);
    session.run("SELECT 1").expect("a session");
    server.delete(&format!("/clusters/{cluster}")).ok();
    eventually("the session is terminated", || session.run("SELECT 1").err());
    server.psql_at(&string, PASSWORD, "SELECT 1").fails("not found");
}

#[test]
fn the_simulated_engine_has_no_sql() {
    let server = simulated();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    sql_user(&server, &cluster, "keeper");
    let spoken = server.psql(&cluster, "keeper", PASSWORD, "SELECT 1");
    assert!(!spoken.success && spoken.err.contains("FATAL"), "{spoken:?}");
}
