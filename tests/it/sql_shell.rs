//! The SQL shell of the console: one statement, with the privileges of a SQL user and no others.

use crate::{
    sessions::person,
    support::{PASSWORD, PROGRAM, audit_log, id, real, simulated, sql_user, trace},
};
use ootheca_testkit::{Answer, Client, Engine, Ootheca, ServerBuilder, eventually};
use serde_json::{Value, json};
use std::time::Instant;

fn path(cluster: &str) -> String {
    format!("/api/ootheca/v1/clusters/{cluster}/sql")
}

fn ask(client: &Client, cluster: &str, wish: Value) -> Answer {
    client.raw("POST", &path(cluster)).json(&wish).send()
}

/// Runs a read-only statement in `defaultdb`.
fn look(client: &Client, cluster: &str, statement: &str) -> Answer {
    ask(client, cluster, json!({ "database": "defaultdb", "statement": statement }))
}

/// Runs a statement that can write.
fn write(client: &Client, cluster: &str, statement: &str) -> Answer {
    ask(client, cluster, json!({ "database": "defaultdb", "statement": statement, "write": true }))
}

fn one_value(answer: &Answer) -> String {
    answer.text("/rows/0/0")
}

#[test]
fn a_shell_on_a_real_cluster() {
    let server = real();
    let cluster = id(&server.create_cluster("shell-cluster", "STANDARD"));
    answers_hold_columns_rows_and_a_tag(&server, &cluster);
    only_what_may_write_writes(&server, &cluster);
    one_statement_and_no_session(&server, &cluster);
    errors_say_where(&server, &cluster);
    there_is_a_limit_to_everything(&server, &cluster);
    statements_are_confined_to_the_cluster(&server, &cluster);
    plans_change_nothing(&server, &cluster);
    sql_users_and_the_shell_share_what_they_make(&server, &cluster);
    a_renamed_admin_is_named_back(&server, &cluster);
    every_statement_is_written_down(&server, &cluster);
}

fn answers_hold_columns_rows_and_a_tag(server: &Ootheca, cluster: &str) {
    let answer = look(server, cluster, "SELECT 1 AS n, 'é'::varchar(10) AS t, NULL::jsonb AS j");
    let found = answer.ok();
    assert_eq!(
        found["columns"],
        json!([
            { "name": "n", "type": "integer" },
            { "name": "t", "type": "character varying(10)" },
            { "name": "j", "type": "jsonb" },
        ])
    );
    assert_eq!(found["rows"], json!([["1", "é", null]]));
    assert_eq!(
        (&found["row_count"], &found["truncated"], &found["tag"]),
        (&json!(1), &json!(false), &json!("SELECT 1"))
    );
    assert!(found["elapsed_ms"].as_f64().is_some_and(|elapsed| elapsed > 0.0), "{found}");
    assert_eq!(found["notices"], json!([]));
    let answer = look(server, cluster, "DO $$ BEGIN RAISE NOTICE 'hello'; END $$");
    assert_eq!(answer.ok()["notices"], json!(["NOTICE: hello"]));
    assert_eq!(answer.ok()["columns"], json!([]));
    let show = look(server, cluster, "SHOW transaction_read_only");
    assert_eq!(one_value(&show), "on");
    assert_eq!(one_value(&look(server, cluster, "SELECT current_user")), "admin");
}

fn only_what_may_write_writes(server: &Ootheca, cluster: &str) {
    let refused = look(server, cluster, "CREATE TABLE t (n int)");
    let message = refused.refused(400);
    assert!(
        message.contains("read-only transaction (SQLSTATE 25006)") && message.contains("to write"),
        "{message}"
    );
    write(server, cluster, "CREATE TABLE t (n int PRIMARY KEY)").ok();
    let insert = "INSERT INTO t SELECT generate_series(1, 5)";
    look(server, cluster, insert).refused(400);
    let done = write(server, cluster, insert);
    assert_eq!((&done.ok()["tag"], &done.ok()["row_count"]), (&json!("INSERT 0 5"), &json!(5)));
    for way_around in [
        "WITH a AS (DELETE FROM t RETURNING n) SELECT * FROM a",
        "SELECT set_config('transaction_read_only', 'off', false), n FROM t",
        "DO $$ BEGIN PERFORM set_config('transaction_read_only', 'off', false); DELETE FROM t; END $$",
        "DO $$ BEGIN COMMIT; DELETE FROM t; END $$",
        "DO $$ BEGIN EXECUTE 'SET TRANSACTION READ WRITE'; DELETE FROM t; END $$",
    ] {
        look(server, cluster, way_around).refused(400);
    }
    assert_eq!(one_value(&look(server, cluster, "SELECT count(*) FROM t")), "5");
    let back = write(server, cluster, "DELETE FROM t WHERE n > 3 RETURNING n");
    assert_eq!(back.ok()["rows"], json!([["4"], ["5"]]));
    // If the commit fails, nothing is changed.
    write(server, cluster, "CREATE TABLE late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)").ok();
    let failed = write(server, cluster, "INSERT INTO late VALUES (1), (1)");
    assert!(failed.refused(400).contains("SQLSTATE 23505"), "{failed}");
    assert_eq!(one_value(&look(server, cluster, "SELECT count(*) FROM late")), "0");
}

fn one_statement_and_no_session(server: &Ootheca, cluster: &str) {
    for statement in ["SELECT 1; SELECT 2", "SELECT 1; COMMIT; SELECT 2"] {
        let refused = write(server, cluster, statement);
        assert!(refused.refused(400).contains("multiple commands"), "{refused}");
    }
    write(server, cluster, "SELECT 1; ;").ok();
    for statement in [
        "BEGIN",
        "COMMIT",
        ";ROLLBACK",
        "/* x */ SET ROLE none",
        "RESET ROLE",
        "LISTEN a",
        "DISCARD ALL",
        "PREPARE a AS SELECT 1",
        "COPY t TO STDOUT",
        "COPY t FROM STDIN",
        "",
    ] {
        let refused = write(server, cluster, statement);
        assert!(refused.refused(400).starts_with("invalid argument: statement: "), "{statement}: {refused}");
    }
    let parameters = look(server, cluster, "SELECT $1::int");
    assert!(parameters.refused(400).contains("SQLSTATE 42P02"), "{parameters}");
    let unknown = ask(server, cluster, json!({ "database": "nix", "statement": "SELECT 1" }));
    assert!(unknown.refused(404).contains("database nix"), "{unknown}");
    for hidden in ["postgres", "template1"] {
        ask(server, cluster, json!({ "database": hidden, "statement": "SELECT 1" })).refused(404);
    }
    for bad in [json!({}), json!([]), json!({ "database": "defaultdb", "statement": "SELECT 1", "x": 1 })] {
        ask(server, cluster, bad).refused(400);
    }
}

fn errors_say_where(server: &Ootheca, cluster: &str) {
    let answer = look(server, cluster, "SELECT *\nFROM nix");
    let message = answer.refused(400);
    assert_eq!(message, "relation \"nix\" does not exist (SQLSTATE 42P01, position 15)");
    let answer = look(server, cluster, "SELEC 1");
    assert!(answer.refused(400).ends_with("(SQLSTATE 42601, position 1)"), "{answer}");
    let answer = look(server, cluster, "SELECT count(x) FROM t");
    assert!(answer.refused(400).contains("(SQLSTATE 42703, position 14)"), "{answer}");
    let answer = look(server, cluster, "SELECT lower(1)");
    assert!(answer.refused(400).contains("\nHINT: "), "{answer}");
    let wish = json!({ "database": "defaultdb", "statement": "SELECT * FROM nix", "explain": true });
    let answer = ask(server, cluster, wish);
    assert!(answer.refused(400).ends_with("(SQLSTATE 42P01, position 15)"), "{answer}");
}

fn there_is_a_limit_to_everything(server: &Ootheca, cluster: &str) {
    let count = |answer: &Answer| answer.ok()["rows"].as_array().map(Vec::len);
    let whole = look(server, cluster, "SELECT generate_series(1, 1000)");
    assert_eq!((count(&whole), &whole.ok()["truncated"]), (Some(1000), &json!(false)));
    let more = look(server, cluster, "SELECT generate_series(1, 1001)");
    assert_eq!((count(&more), &more.ok()["truncated"]), (Some(1000), &json!(true)));
    let endless = look(server, cluster, "SELECT generate_series(1, 1000000000)");
    assert_eq!((count(&endless), &endless.ok()["truncated"]), (Some(1000), &json!(true)));
    let written = write(server, cluster, "INSERT INTO t SELECT generate_series(101, 1200) RETURNING n");
    assert_eq!((count(&written), &written.ok()["truncated"]), (Some(1000), &json!(true)));
    assert_eq!(written.ok()["row_count"], 1100);
    assert_eq!(one_value(&look(server, cluster, "SELECT count(*) FROM t WHERE n > 100")), "1100");
    let wide = look(server, cluster, "SELECT repeat('x', 300000) FROM generate_series(1, 100)");
    assert_eq!((count(&wide), &wide.ok()["truncated"]), (Some(3), &json!(true)));
    let huge = look(server, cluster, "SELECT repeat('x', 100000000)");
    assert_eq!((count(&huge), &huge.ok()["truncated"]), (Some(0), &json!(true)));

    let began = Instant::now();
    let slow = look(server, cluster, "SELECT pg_sleep(60)");
    assert!(slow.refused(400).contains("SQLSTATE 57014"), "{slow}");
    assert!((9..30).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    // A statement that ignores its cancellation is terminated.
    let stubborn = "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$";
    let refused = look(server, cluster, stubborn);
    assert!(refused.refused(400).contains("SQLSTATE 57014"), "{refused}");
    eventually("nothing of the statement is left", || {
        let others = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'ootheca_console' AND pid <> pg_backend_pid()";
        (one_value(&look(server, cluster, others)) == "0").then_some(())
    });
}

fn statements_are_confined_to_the_cluster(server: &Ootheca, cluster: &str) {
    for statement in [
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT pg_ls_dir('/')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT set_config('role', 'ootheca', true), pg_read_file('PG_VERSION')",
        "SELECT set_config('role', 'none', true), pg_read_file('PG_VERSION')",
        "SELECT set_config('session_authorization', 'ootheca', true)",
        "DO $$ BEGIN PERFORM set_config('role', 'none', true); PERFORM pg_read_file('PG_VERSION'); END $$",
        "DO $$ BEGIN RESET ROLE; COPY (SELECT 1) TO PROGRAM 'true'; END $$",
        "DO $$ BEGIN RESET SESSION AUTHORIZATION; EXECUTE 'COPY (SELECT 1) TO ''/tmp/ootheca-shell'''; END $$",
        "DO $$ BEGIN SET SESSION AUTHORIZATION ootheca; END $$",
        "ALTER ROLE admin SUPERUSER",
        "ALTER SYSTEM SET listen_addresses = '*'",
        "GRANT ootheca TO admin",
        "CREATE EXTENSION file_fdw",
    ] {
        let refused = write(server, cluster, statement);
        let message = refused.refused(400);
        let denied = ["42501", "42704", "22023", "25001"].iter().any(|code| message.contains(code));
        assert!(denied, "{statement}: {message}");
    }
    // The role of the shell cannot be used to log in through the gateway.
    let string = server.connection_string(cluster, "ootheca_console");
    assert!(!server.psql_at(&string, "whatever password", "SELECT 1").success);
    server
        .post(
            &format!("/clusters/{cluster}/sql-users"),
            json!({ "name": "ootheca_console", "password": PASSWORD }),
        )
        .refused(400);
    let users = server.get(&format!("/clusters/{cluster}/sql-users"));
    assert!(!users.to_string().contains("ootheca_console"), "{users}");
}

fn plans_change_nothing(server: &Ootheca, cluster: &str) {
    let wish = |statement: &str, write| json!({ "database": "defaultdb", "statement": statement, "explain": true, "write": write });
    let plan = ask(server, cluster, wish("DELETE FROM t", false));
    assert!(one_value(&plan).contains("Delete on t"), "{plan}");
    assert!(!plan.to_string().contains("actual time"), "{plan}");
    let measured = ask(server, cluster, wish("DELETE FROM t", true));
    assert!(measured.to_string().contains("actual time"), "{measured}");
    assert_ne!(one_value(&look(server, cluster, "SELECT count(*) FROM t")), "0", "it is rolled back");
    ask(server, cluster, wish("EXPLAIN SELECT 1", false)).ok();
}

fn sql_users_and_the_shell_share_what_they_make(server: &Ootheca, cluster: &str) {
    sql_user(server, cluster, "max");
    server
        .psql(
            cluster,
            "max",
            PASSWORD,
            "INSERT INTO t VALUES (9000); CREATE TABLE of_max (n int); DROP TABLE late",
        )
        .ok();
    write(server, cluster, "INSERT INTO of_max SELECT n FROM t WHERE n = 9000").ok();
    assert_eq!(server.psql(cluster, "max", PASSWORD, "SELECT n FROM of_max").ok(), "9000");
    // Up to PostgreSQL 15, SQL users can change the role of the shell. This only breaks the shell, and it is
    // repaired.
    for harm in [
        "ALTER ROLE ootheca_console NOLOGIN",
        "REVOKE admin FROM ootheca_console",
        "DROP ROLE ootheca_console",
    ] {
        let _ = server.psql(cluster, "max", PASSWORD, harm).success;
        assert_eq!(one_value(&look(server, cluster, "SELECT 1")), "1", "{harm}");
    }
}

fn a_renamed_admin_is_named_back(server: &Ootheca, cluster: &str) {
    sql_user(server, cluster, "renamer");
    server.psql(cluster, "renamer", PASSWORD, "ALTER ROLE admin RENAME TO admon").ok();
    let answer = look(server, cluster, "SELECT current_user");
    answer.ok();
    assert_eq!(one_value(&answer), "admin");
}

fn every_statement_is_written_down(server: &Ootheca, cluster: &str) {
    let find = |answer: &Answer| {
        let (trace, log) = (trace(answer), audit_log(server));
        let mut found: Vec<Value> =
            log.into_iter().filter(|entry| entry["trace_id"] == trace.as_str()).collect();
        assert_eq!(found.len(), 1, "{answer}");
        found.remove(0)
    };
    let done = find(&write(server, cluster, "CREATE ROLE app PASSWORD 'hunter2hunter2'"));
    let text = done.to_string();
    assert!(text.contains("RunStatement") && text.contains("CREATE ROLE app PASSWORD '***'"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(done["cluster_id"], cluster);
    let failed = find(&look(server, cluster, "SELECT * FROM nix"));
    assert!(failed.to_string().contains("42P01"), "{failed}");
    let refused = find(&look(server, cluster, "COMMIT"));
    assert!(refused.to_string().contains("is not supported"), "{refused}");
    let long = find(&look(server, cluster, &format!("SELECT '{}'", "x".repeat(20_000))));
    assert!(long.to_string().contains("SELECT 'xxx") && long.to_string().contains("bytes in all"), "{long}");
}

#[test]
fn the_shell_requires_cluster_admin() {
    let server = simulated();
    let [cluster, other] =
        ["one-cluster", "other-cluster"].map(|name| id(&server.create_cluster(name, "BASIC")));
    let statement = json!({ "database": "defaultdb", "statement": "SELECT 1" });
    server.anonymous().raw("POST", &path(&cluster)).json(&statement).send().refused(401);
    for role in ["CLUSTER_DEVELOPER", "CLUSTER_OPERATOR_WRITER", "ORG_ADMIN"] {
        let client = server.with_key(&server.new_key(&[role]));
        ask(&client, &cluster, statement.clone()).refused(403);
    }
    let narrow = server.with_key(&server.new_key(&[&format!("CLUSTER_ADMIN@{cluster}")]));
    // The simulated engine has no SQL. Only authorized callers get this error.
    let refused = ask(&narrow, &cluster, statement.clone());
    assert!(refused.refused(400).contains("simulated engine runs no SQL"), "{refused}");
    ask(&narrow, &other, statement.clone()).refused(404);
    let nobody = "6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f";
    ask(&server, nobody, statement.clone()).refused(404);
    ask(&server, "nothing", statement.clone()).refused(404);
    server.delete(&format!("/clusters/{other}")).ok();
    ask(&server, &other, statement.clone()).refused(404);
    server.raw("GET", &path(&cluster)).send().refused(405);

    let mut ada = person(&server, "ada@example.com", &["CLUSTER_ADMIN"]);
    ada.api("POST", &path(&cluster), Some(statement.clone())).refused(400);
    ada.csrf_token = None;
    ada.api("POST", &path(&cluster), Some(statement)).refused(403);
}

#[test]
fn a_statement_resumes_its_cluster() {
    let server = ServerBuilder::new(PROGRAM)
        .engine(Engine::Postgres)
        .env("OOTHECA_SCALE_TO_ZERO__IDLE_SECONDS", "1")
        .boot();
    let cluster = id(&server.create_cluster("sleepy-cluster", "BASIC"));
    write(&server, &cluster, "CREATE TABLE t (n int)").ok();
    eventually("it is suspended", || {
        let nodes = server.get(&format!("/clusters/{cluster}/nodes"));
        nodes.ok()["nodes"].as_array().expect("nodes").is_empty().then_some(())
    });
    assert_eq!(one_value(&look(&server, &cluster, "SELECT count(*) FROM t")), "0");
    assert!(server.log().contains("cluster resumed"));
}
