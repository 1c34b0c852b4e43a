//! SQL that runs on the data of a clone before anything else can.

use super::{CREATE_WAIT, cloned, job, request_clone};
use crate::{
    backups::shared::{HOUR, LIMIT, documents, furnish, run, swap_repository, take_backup},
    restores::{nothing_else_is_left, objects::run_in},
    support::{PASSWORD, PROGRAM, id, real},
};
use ootheca_store::Kind;
use ootheca_testkit::{Engine, Ootheca, ServerBuilder, eventually_within};
use serde_json::json;
use std::thread;

/// Lets the script change the table of [`furnish`], because it runs as this role.
const GIVE: &str = "ALTER TABLE kept OWNER TO admin";
const READ: &str = "SELECT n FROM kept";

/// A source whose table the script can change.
fn source(server: &Ootheca) -> String {
    let source = furnish(server, Engine::Postgres, "source-cluster");
    run(server, &source, GIVE);
    source
}

#[test]
fn the_first_login_that_succeeds_finds_masked_data() {
    let launch = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).backups().env(CREATE_WAIT, "0");
    let server = launch.boot();
    let source = source(&server);
    let backup = take_backup(&server, &source, HOUR);
    swap_repository(&server);
    let from = json!({ "backup_id": backup["id"], "masking_sql": "UPDATE kept SET n = n + 1" });
    let asked = request_clone(&server, "some-clone", from);
    assert_eq!(asked.ok()["state"], "CREATING");
    let clone = id(&asked.body);
    let login = server.psql_later(&server.connection_string(&clone, "keeper"), PASSWORD);
    let read = || {
        eventually_within(LIMIT, "a login succeeds", || {
            let said = login(READ);
            said.success.then(|| said.ok().to_owned())
        })
    };
    thread::scope(|scope| {
        let reader = scope.spawn(read);
        swap_repository(&server);
        assert_eq!(reader.join().expect("it succeeds"), "8", "it ran once");
    });
    server.when_created(&clone);
    assert_eq!(run(&server, &clone, READ), "8");
    assert_eq!(run(&server, &source, READ), "7");
    let stored = documents(&server, Kind::Restore, &clone);
    assert!(stored.len() == 1 && stored[0].get("masking").is_none(), "it is not kept: {stored:#?}");
}

#[test]
fn several_statements_run_in_the_database_that_the_request_names() {
    let server = real();
    let source = source(&server);
    let run_in_app = |cluster: &str, sql: &str| run_in(&server, cluster, "keeper", "app", sql);
    run_in_app(&source, "CREATE TABLE people AS SELECT 'ann' AS name");
    run_in_app(&source, "ALTER TABLE people OWNER TO admin");
    let from = json!({
        "source_cluster_id": source, "masking_database": "app",
        "masking_sql": "UPDATE people SET name = 'x' || name;\nCREATE TABLE mask AS SELECT current_user AS who;",
    });
    let clone = cloned(&server, "some-clone", from);
    assert_eq!(run_in_app(&clone, "SELECT name FROM people"), "xann");
    assert_eq!(
        run_in_app(&clone, "SELECT tableowner FROM pg_tables WHERE tablename = 'mask'"),
        "admin",
        "it has the rights of SQL users"
    );
    assert_eq!(run(&server, &clone, READ), "7", "other databases are unchanged");
    assert_eq!(run_in_app(&source, "SELECT name FROM people"), "ann");
    assert_eq!(job(&server, &clone)["status"], "SUCCESS");
    nothing_else_is_left(&server, 2);
}
