//! The control password of each cluster, and the reserved roles.

use crate::{
    archive::Archive,
    fixture::Fixture,
    support::{
        Driver, Folder, PASSWORD, control, control_login, machine_secret, new_cluster, plan, postgres, ready,
        ready_again, sql, suspended, until, user,
    },
};
use ootheca_engine::{
    ClusterSource, Engine, Source,
    postgres::{cluster_secret, report},
};
use ootheca_model::{
    ClusterId, ErrorKind,
    instance::{InstancePlan, Power},
};
use std::{fs, path::PathBuf, sync::Arc};

/// The file that records whose control password the data of a cluster has.
fn record(folder: &Folder, cluster: ClusterId) -> PathBuf {
    let reports = report(&folder.engine()).unwrap();
    let found = reports.into_iter().find(|report| report.cluster == Some(cluster)).unwrap();
    found.data.with_file_name("control-secret-of")
}

/// Why a login as the control user fails; `None` if it succeeds.
async fn refused(engine: &dyn Engine, cluster: ClusterId, secret: &str) -> Option<String> {
    let error = control_login(engine, cluster, secret, "postgres").await.err()?;
    Some(error.code().expect("an error of the server").code().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_other_clusters_and_of_the_machine_are_refused() {
    let folder = Folder::new();
    // One cluster gets a spare, the other one is created for it.
    let engine = postgres(&folder, 1).await;
    until("a spare", || async { (!engine.spares().is_empty()).then_some(()) }).await;
    let (one, other) = (plan(&engine, new_cluster()), plan(&engine, new_cluster()));
    ready(&engine, &one).await;
    ready(&engine, &other).await;
    let machine = machine_secret(&folder);
    for (cluster, another) in [(one.cluster, other.cluster), (other.cluster, one.cluster)] {
        assert_eq!(refused(&engine, cluster, &cluster_secret(&machine, cluster)).await, None);
        for secret in [cluster_secret(&machine, another), machine.clone()] {
            assert_eq!(refused(&engine, cluster, &secret).await.as_deref(), Some("28P01"));
        }
    }
    engine.close(false).await;
}

/// Makes a cluster like one that an earlier version has created.
async fn make_earlier(folder: &Folder, engine: &dyn Engine, cluster: ClusterId) {
    let change = format!("ALTER ROLE ootheca PASSWORD '{}'", machine_secret(folder));
    control(folder, engine, cluster, "postgres").await.batch_execute(&change).await.unwrap();
    fs::remove_file(record(folder, cluster)).unwrap();
}

/// Waits until the cluster has its own control password, and checks that the engine uses it.
async fn has_own_secret(folder: &Folder, engine: &dyn Engine, cluster: ClusterId) {
    let record = record(folder, cluster);
    until("the password is changed", || async { record.exists().then_some(()) }).await;
    let machine = machine_secret(folder);
    assert_eq!(refused(engine, cluster, &cluster_secret(&machine, cluster)).await, None);
    assert_eq!(refused(engine, cluster, &machine).await.as_deref(), Some("28P01"));
    assert_eq!(engine.admin(cluster).await.unwrap().users().await.unwrap(), ["max"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_of_an_earlier_version_get_their_own_secret_at_the_next_start() {
    let mut fixture = Fixture::new(Driver::Postgres).await;
    let plan = fixture.empty_cluster().await;
    let cluster = plan.cluster;
    user(&*fixture.engine, cluster, "max").await;
    // Whether its server is adopted or started.
    for detach in [true, false] {
        make_earlier(&fixture.folder, &*fixture.engine, cluster).await;
        fixture.restart(detach).await;
        ready_again(&*fixture.engine, &plan).await;
        has_own_secret(&fixture.folder, &*fixture.engine, cluster).await;
    }
    make_earlier(&fixture.folder, &*fixture.engine, cluster).await;
    suspended(&*fixture.engine, &InstancePlan { power: Power::Off, ..plan.clone() }).await;
    fixture.restart(true).await;
    ready_again(&*fixture.engine, &plan).await;
    has_own_secret(&fixture.folder, &*fixture.engine, cluster).await;
    // As after a crash between the change and its record.
    fs::remove_file(record(&fixture.folder, cluster)).unwrap();
    fixture.restart(true).await;
    ready_again(&*fixture.engine, &plan).await;
    has_own_secret(&fixture.folder, &*fixture.engine, cluster).await;
    fixture.close().await;
}

/// Stages data in a new cluster, which then serves.
async fn serve_staged(fixture: &Fixture, source: &Source) -> ClusterId {
    let engine = &*fixture.engine;
    let empty = fixture.empty_cluster().await;
    engine.stage(empty.cluster, 1, source, None).await.unwrap();
    let plan = InstancePlan { epoch: 1, generation: 2, ..empty };
    ready_again(engine, &plan).await;
    engine.discard(plan.cluster, 1).await.unwrap();
    plan.cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_and_cloned_data_has_the_secret_of_its_own_cluster() {
    // The machine's secret of the other engine is another one.
    let (fixture, elsewhere) =
        (Fixture::archiving(Driver::Postgres).await, Fixture::archiving(Driver::Postgres).await);
    let engine = &*fixture.engine;
    let from = fixture.empty_cluster().await;
    user(engine, from.cluster, "max").await;
    let replication = "CREATE ROLE ootheca_replication LOGIN SUPERUSER REPLICATION PASSWORD 'secret'";
    let session = control(&fixture.folder, engine, from.cluster, "postgres").await;
    session.batch_execute(replication).await.unwrap();
    drop(session);
    let mut archive = Archive::begin(engine, &from).await;
    let backup = archive.take(engine, &from).await.source();
    let clone = Source::Cluster(ClusterSource {
        cluster: from.cluster,
        epoch: from.epoch,
        progress: Arc::new(|_| ()),
    });
    for (fixture, source) in [(&fixture, &backup), (&fixture, &clone), (&elsewhere, &backup)] {
        let cluster = serve_staged(fixture, source).await;
        has_own_secret(&fixture.folder, &*fixture.engine, cluster).await;
        let source_secret = cluster_secret(&machine_secret(&fixture.folder), from.cluster);
        assert_eq!(refused(&*fixture.engine, cluster, &source_secret).await.as_deref(), Some("28P01"));
        let control = control(&fixture.folder, &*fixture.engine, cluster, "postgres").await;
        let enabled = "SELECT count(*) FROM pg_authid WHERE rolname = 'ootheca_replication' \
                       AND (rolcanlogin OR rolpassword IS NOT NULL)";
        assert_eq!(control.query_one(enabled, &[]).await.unwrap().get::<_, i64>(0), 0);
    }
    elsewhere.close().await;
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_cannot_see_change_or_drop_the_roles_of_the_engine() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    ready(&engine, &plan).await;
    let cluster = plan.cluster;
    user(&engine, cluster, "max").await;
    let replication = "CREATE ROLE ootheca_replication LOGIN SUPERUSER REPLICATION PASSWORD 'secret'";
    control(&folder, &engine, cluster, "postgres").await.batch_execute(replication).await.unwrap();
    let session = sql(&engine, cluster, "max", "defaultdb").await.unwrap();
    let mut admin = engine.admin(cluster).await.unwrap();
    assert_eq!(admin.users().await.unwrap(), ["max"]);
    for role in ["ootheca", "ootheca_replication"] {
        for statement in [
            format!("ALTER ROLE {role} NOLOGIN"),
            format!("ALTER ROLE {role} PASSWORD 'other'"),
            format!("ALTER ROLE {role} RENAME TO other"),
            format!("DROP ROLE {role}"),
            format!("GRANT {role} TO max"),
            format!("SET ROLE {role}"),
        ] {
            let error = session.batch_execute(&statement).await.expect_err(&statement);
            assert_eq!(error.code().map(|code| code.code()), Some("42501"), "{statement}: {error}");
        }
        assert_eq!(admin.delete_user(role).await.unwrap_err().kind(), ErrorKind::NotFound, "{role}");
        let changed = admin.set_password(role, PASSWORD).await;
        assert_eq!(changed.unwrap_err().kind(), ErrorKind::NotFound, "{role}");
        assert_eq!(engine.secret(cluster, role).await.unwrap(), None, "{role}");
    }
    drop((admin, session));
    engine.close(false).await;
}
