//! SQL that runs on staged data before it serves.

use crate::{
    archive::Archive,
    epochs_crash::nothing_else_is_left,
    fixture::{Fixture, kind},
    support::{Driver, Folder, new_cluster, plan, ready, ready_again, settings, sql, user},
};
use ootheca_engine::{
    Engine, Source,
    postgres::{PostgresEngine, Settings},
};
use ootheca_model::{ErrorKind, Timestamp, backup::MaskingScript, instance::InstancePlan, names::SHELL_USER};
use std::time::{Duration, SystemTime};
use tokio_postgres::Client;

const DATABASE: &str = "defaultdb";
/// Its third statement needs what the second one has changed.
const SCRIPT: &str = "CREATE TABLE who AS SELECT session_user::text AS login, current_user::text AS role;\n\
                      UPDATE people SET email = md5(email);\n\
                      INSERT INTO runs SELECT 1 FROM people WHERE length(email) = 32;";

fn script(text: &str) -> MaskingScript {
    MaskingScript { database: DATABASE.to_owned(), text: text.to_owned() }
}

fn at_epoch(plan: &InstancePlan, epoch: u64) -> InstancePlan {
    InstancePlan { epoch, generation: plan.generation + epoch, ..plan.clone() }
}

async fn session(engine: &dyn Engine, plan: &InstancePlan) -> Client {
    sql(engine, plan.cluster, "max", DATABASE).await.unwrap()
}

/// The only value of a row.
async fn text(session: &Client, query: &str) -> String {
    session.query_one(query, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn masking_runs_once_as_an_ordinary_role() {
    let fixture = Fixture::archiving(Driver::Postgres).await;
    let engine = &*fixture.engine;
    let old = fixture.empty_cluster().await;
    user(engine, old.cluster, "max").await;
    let tables = "CREATE TABLE people (email text); INSERT INTO people VALUES ('max@example.com'); \
                  CREATE TABLE runs (n int)";
    session(engine, &old).await.batch_execute(tables).await.unwrap();
    let mut archive = Archive::begin(engine, &old).await;
    let moment = Timestamp::from(SystemTime::now());
    session(engine, &old).await.batch_execute("INSERT INTO people VALUES ('late')").await.unwrap();
    let backup = archive.take(engine, &old).await;

    let masking = script(SCRIPT);
    for (epoch, source, people) in [(1, backup.source(), 2), (2, backup.at(moment).source(), 1)] {
        for _ in 0..2 {
            engine.stage(old.cluster, epoch, &source, Some(&masking)).await.unwrap();
        }
        let restored = at_epoch(&old, epoch);
        ready_again(engine, &restored).await;
        let session = session(engine, &restored).await;
        let masked = "SELECT count(*)::text FROM people WHERE email !~ '[@l]'";
        assert_eq!(text(&session, masked).await, people.to_string());
        assert_eq!(text(&session, "SELECT count(*)::text FROM people").await, people.to_string());
        assert_eq!(text(&session, "SELECT count(*)::text FROM runs").await, people.to_string(), "once");
        let roles = format!("{SHELL_USER} admin");
        assert_eq!(text(&session, "SELECT login || ' ' || role FROM who").await, roles);
        engine.discard(old.cluster, epoch).await.unwrap();
    }
    let empty = at_epoch(&old, 3);
    let masking = script("CREATE TABLE made AS SELECT 'yes' AS made");
    engine.stage(old.cluster, 3, &Source::Empty, Some(&masking)).await.unwrap();
    ready_again(engine, &empty).await;
    user(engine, old.cluster, "max").await;
    assert_eq!(text(&session(engine, &empty).await, "SELECT made FROM made").await, "yes");
    fixture.close().await;
}

/// An engine with an empty cluster, where masking has little time.
async fn impatient(folder: &Folder) -> (PostgresEngine, InstancePlan) {
    let settings = Settings { masking_timeout: Duration::from_secs(5), ..settings(folder, 0) };
    let engine = PostgresEngine::new(settings).unwrap();
    engine.open().await.unwrap();
    let plan = plan(&engine, new_cluster());
    ready(&engine, &plan).await;
    (engine, plan)
}

/// The message of the Precondition that the staging results in. Nothing is left of it.
async fn refusal(
    folder: &Folder,
    engine: &dyn Engine,
    plan: &InstancePlan,
    masking: &MaskingScript,
) -> String {
    let staged = engine.stage(plan.cluster, 1, &Source::Empty, Some(masking)).await;
    let error = staged.expect_err(&masking.text);
    assert_eq!(error.kind(), ErrorKind::Precondition, "{}: {}", masking.text, error.chain());
    nothing_else_is_left(Driver::Postgres, folder, engine, plan).await;
    error.message().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn masking_cannot_gain_rights_on_the_server() {
    let folder = Folder::new();
    let (engine, plan) = impatient(&folder).await;
    for text in [
        "RESET ROLE; ALTER ROLE CURRENT_USER SUPERUSER",
        "RESET SESSION AUTHORIZATION; SET ROLE ootheca",
        "SET SESSION AUTHORIZATION ootheca",
        "ALTER ROLE ootheca PASSWORD 'x'",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('PG_VERSION')",
    ] {
        let message = refusal(&folder, &engine, &plan, &script(text)).await;
        assert!(message.starts_with("masking_sql: "), "{text}: {message}");
        assert!(message.ends_with("(SQLSTATE 42501)"), "{text}: {message}");
    }
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_masking_leaves_nothing() {
    let folder = Folder::new();
    let (engine, plan) = impatient(&folder).await;
    for (text, expected) in [
        ("SELECT 1; SELECT FROM missing", "relation \"missing\" does not exist (SQLSTATE 42P01)"),
        ("SELECT FROM FROM", "syntax error at or near \"FROM\" (SQLSTATE 42601)"),
        ("BEGIN; CREATE TABLE t ()", "the text begins a transaction and does not end it (SQLSTATE 25001)"),
        ("CREATE TABLE t (n int); COPY t FROM STDIN", "COPY FROM STDIN is not supported (SQLSTATE 0A000)"),
        ("SET statement_timeout = 0; SELECT pg_sleep(600)", "it exceeded its time limit of 5 seconds"),
    ] {
        let message = refusal(&folder, &engine, &plan, &script(text)).await;
        assert_eq!(message.strip_prefix("masking_sql: "), Some(expected), "{text}: {message}");
    }
    let elsewhere = MaskingScript { database: "unknown".to_owned(), ..script("SELECT 1") };
    let message = refusal(&folder, &engine, &plan, &elsewhere).await;
    assert_eq!(message, "masking_database: the data contains no database unknown");
    let whole = script("BEGIN; CREATE TABLE t (); COMMIT; COPY t TO STDOUT");
    engine.stage(plan.cluster, 1, &Source::Empty, Some(&whole)).await.unwrap();
    ready_again(&engine, &at_epoch(&plan, 1)).await;
    engine.close(false).await;
}

#[tokio::test]
async fn simulated_engines_run_no_masking() {
    let fixture = Fixture::new(Driver::Simulated).await;
    let plan = fixture.empty_cluster().await;
    let masking = script("SELECT 1");
    let staged = fixture.engine.stage(plan.cluster, 1, &Source::Empty, Some(&masking)).await;
    assert_eq!(kind(staged), ErrorKind::Unimplemented);
    assert_eq!(fixture.epochs().await, [0]);
    fixture.close().await;
}
