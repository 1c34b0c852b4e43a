//! PostgreSQL's own programs, which connect to the database `postgres` first.

use crate::support::{PASSWORD, column, id, real, sql_user};
use serde_json::json;

#[test]
fn programs_of_postgresql_work_through_the_gateway() {
    let server = real();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    sql_user(&server, &cluster, "keeper");
    let run = |name: &str, args: &[&str]| server.tool(&cluster, "keeper", PASSWORD, name, args);
    run("createdb", &["shop"]).ok();
    let list = run("psql", &["-X", "-w", "-A", "-t", "-l"]);
    let lines: Vec<&str> = list.ok().lines().collect();
    assert!(lines.iter().any(|line| line.starts_with("shop|keeper|")), "{lines:?}");
    run("createuser", &["--createdb", "clerk"]).ok();
    run("pg_dumpall", &[]).ok();
    let roles = run("pg_dumpall", &["--roles-only"]);
    assert!(roles.ok().contains("CREATE ROLE clerk;"), "{roles:?}");
    run("vacuumdb", &["--all", "--analyze-only", "--quiet"]).ok();
    let databases = format!("/clusters/{cluster}/databases");
    assert_eq!(column(&server.get(&databases).ok()["databases"], "name"), ["defaultdb", "shop"]);
    run("dropuser", &["clerk"]).ok();
    run("dropdb", &["shop"]).ok();
    assert_eq!(column(&server.get(&databases).ok()["databases"], "name"), ["defaultdb"]);
    // The database `postgres` itself cannot be changed, in SQL and over the API.
    run("dropdb", &["--maintenance-db=defaultdb", "postgres"]).fails("must be owner");
    for sql in ["ALTER DATABASE postgres RENAME TO other", "DROP DATABASE postgres WITH (FORCE)"] {
        server.psql(&cluster, "keeper", PASSWORD, sql).fails("must be owner");
    }
    server.delete(&format!("{databases}/postgres")).refused(404);
    server.patch(&format!("{databases}/postgres"), json!({ "new_name": "other" })).refused(404);
}
