//! The secrets of SQL users, as logins read them.

use crate::support::{
    Folder, control, new_cluster, plan, postgres, ready, settings, sql, suspended, until, user,
};
use ootheca_engine::{
    Engine,
    postgres::{PostgresEngine, Settings},
};
use ootheca_model::{
    ErrorKind,
    instance::{InstancePlan, Power},
    login::Secret,
};
use std::sync::Arc;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_next_read() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    ready(&engine, &plan).await;
    user(&engine, plan.cluster, "max").await;
    let session = sql(&engine, plan.cluster, "max", "defaultdb").await.unwrap();
    let secret = async |name: &str| engine.secret(plan.cluster, name).await.unwrap();
    for name in ["nonexistent", "admin", "ootheca", r"bad\xff"] {
        assert_eq!(secret(name).await, None, "{name}");
    }
    let mut before = None;
    for (change, expected) in [
        ("CREATE ROLE bob LOGIN PASSWORD 'one'", "Some(Scram)"),
        ("ALTER ROLE bob PASSWORD 'two'", "Some(Scram)"),
        ("ALTER ROLE bob NOLOGIN", "None"),
        ("ALTER ROLE bob LOGIN VALID UNTIL '2001-01-01'", "Some(Expired)"),
        ("ALTER ROLE bob VALID UNTIL 'infinity'", "Some(Scram)"),
        ("ALTER ROLE bob PASSWORD NULL", "Some(Absent)"),
        ("SET password_encryption = md5; ALTER ROLE bob PASSWORD 'old'", "Some(Other)"),
        ("DROP ROLE bob", "None"),
    ] {
        session.batch_execute(change).await.unwrap();
        let after = secret("bob").await;
        assert_eq!(format!("{after:?}"), expected, "{change}");
        assert_ne!(after, before, "{change}");
        before = after;
    }
    drop(session);
    engine.close(false).await;
}

/// A role whose name and password are not text. Only the control user can create such a password.
const ODD: &str = r"bad\xff";
const CREATE_ODD: &str = r"
    SET client_encoding = 'SQL_ASCII';
    DO $$ BEGIN EXECUTE format('CREATE ROLE %I LOGIN', convert_from('\x626164ff', 'SQL_ASCII')); END $$;
    UPDATE pg_authid SET rolpassword = convert_from('\xff', 'SQL_ASCII')
        WHERE namesend(rolname) = '\x626164ff'";

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_not_text_fails_alone() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    ready(&engine, &plan).await;
    let cluster = plan.cluster;
    user(&engine, cluster, "max").await;
    let any_bytes = "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'";
    control(&folder, &engine, cluster, "postgres").await.batch_execute(any_bytes).await.unwrap();
    control(&folder, &engine, cluster, "ascii").await.batch_execute(CREATE_ODD).await.unwrap();

    let (max, odd) = tokio::join!(engine.secret(cluster, "max"), engine.secret(cluster, ODD));
    assert!(matches!(max, Ok(Some(Secret::Scram(_)))), "{max:?}");
    assert!(matches!(odd, Ok(Some(Secret::Other(_)))), "{odd:?}");
    let mut admin = engine.admin(cluster).await.unwrap();
    let logins = admin.logins().await.unwrap();
    let names: Vec<&str> = logins.iter().map(|login| login.name.as_str()).collect();
    assert_eq!(names, [ODD, "max"]);
    assert!(matches!(logins[0].secret, Secret::Other(_)), "{:?}", logins[0].secret);
    admin.delete_user(ODD).await.unwrap();
    assert_eq!(admin.users().await.unwrap(), ["max"]);
    assert_eq!(engine.secret(cluster, ODD).await.unwrap(), None);
    drop((admin, sql(&engine, cluster, "max", "defaultdb").await.unwrap()));
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_reads_share_one_session_and_survive_cancellation() {
    let folder = Folder::new();
    let engine = Arc::new(postgres(&folder, 0).await);
    let plan = plan(&*engine, new_cluster());
    ready(&*engine, &plan).await;
    user(&*engine, plan.cluster, "max").await;
    let (mut reads, cluster) = (JoinSet::new(), plan.cluster);
    for number in 0..200 {
        let engine = engine.clone();
        let canceled = reads.spawn(async move { engine.secret(cluster, "max").await });
        if number % 3 == 0 {
            canceled.abort();
        }
    }
    while let Some(read) = reads.join_next().await {
        match read {
            Ok(secret) => assert!(matches!(secret, Ok(Some(Secret::Scram(_)))), "{secret:?}"),
            Err(canceled) => assert!(canceled.is_cancelled(), "{canceled}"),
        }
    }
    let session = sql(&*engine, cluster, "max", "defaultdb").await.unwrap();
    let control = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'ootheca'";
    until("one session is left", || async {
        (session.query_one(control, &[]).await.unwrap().get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    drop(session);
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_does_not_keep_the_server_from_being_suspended() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    for round in 0..3 {
        ready(&engine, &plan).await;
        if round == 0 {
            user(&engine, plan.cluster, "max").await;
        }
        assert!(engine.secret(plan.cluster, "max").await.unwrap().is_some());
        suspended(&engine, &InstancePlan { power: Power::Off, ..plan.clone() }).await;
        let error = engine.secret(plan.cluster, "max").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_a_full_server_can_be_read() {
    let folder = Folder::new();
    let engine = PostgresEngine::new(Settings { max_connections: 8, ..settings(&folder, 0) }).unwrap();
    engine.open().await.unwrap();
    let plan = plan(&engine, new_cluster());
    ready(&engine, &plan).await;
    user(&engine, plan.cluster, "max").await;
    let mut sessions = Vec::new();
    while let Ok(session) = sql(&engine, plan.cluster, "max", "defaultdb").await {
        sessions.push(session);
    }
    assert!((1..8).contains(&sessions.len()), "{}", sessions.len());
    assert!(engine.secret(plan.cluster, "max").await.unwrap().is_some());
    drop(sessions);
    engine.close(false).await;
}
