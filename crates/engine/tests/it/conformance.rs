//! The requirements for every engine.

mod faults;
mod nodes;

use crate::support::{
    Driver, Folder, LIMIT, PASSWORD, gone, new_cluster, plan, ready, ready_again, signal, suspended, until,
};
use ootheca_engine::Admin;
use ootheca_model::{
    ErrorKind,
    instance::{Condition, InstancePlan, Phase, Power, Removal},
};
use rustix::process::Signal;

#[tokio::test(flavor = "multi_thread")]
async fn postgres_instance_lifecycle() {
    instance_lifecycle(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_instance_lifecycle() {
    instance_lifecycle(Driver::Simulated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_administrative_operations() {
    administrative_operations(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_administrative_operations() {
    administrative_operations(Driver::Simulated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_state_across_restarts() {
    keeps_state_across_restarts(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_keeps_state_across_restarts() {
    keeps_state_across_restarts(Driver::Simulated).await;
}

async fn instance_lifecycle(driver: Driver) {
    let folder = Folder::new();
    let engine = driver.open(&folder).await;
    let cluster = new_cluster();
    assert_eq!(engine.observe(cluster).await.unwrap().phase, Phase::Absent);
    // There is nothing to remove, which is certain only after the cleanup at startup.
    gone(&*engine, cluster).await;
    assert_eq!(engine.admin(cluster).await.err().unwrap().kind(), ErrorKind::Unavailable);
    assert!(engine.list().await.unwrap().is_empty());

    let mut hints = engine.watch();
    let mut plan = plan(&*engine, cluster);
    plan.generation = 2;
    let first = engine.create(&plan).await.unwrap();
    assert_eq!(first.cluster, cluster);
    let observed = ready(&*engine, &plan).await;
    assert_eq!((observed.generation, observed.nodes.len()), (2, 1));
    assert!(observed.nodes[0].live && observed.nodes[0].name == "n1" && !observed.engine.is_empty());
    assert_eq!(hints.recv().await.unwrap(), cluster);
    assert_eq!(engine.list().await.unwrap(), [cluster]);
    assert_eq!(engine.ensure(&plan).await.unwrap(), observed, "a second time changes nothing");

    let older = InstancePlan { generation: 1, ..plan.clone() };
    assert_eq!(engine.ensure(&older).await.unwrap_err().kind(), ErrorKind::Stale);
    plan.generation = 3;
    assert_eq!(engine.ensure(&plan).await.unwrap().generation, 3);
    let other = InstancePlan { cluster: new_cluster(), engine_major: "3".to_owned(), ..plan };
    assert_eq!(engine.create(&other).await.unwrap_err().kind(), ErrorKind::Precondition);
    assert_eq!(engine.report().await.unwrap().len(), 1);

    gone(&*engine, cluster).await;
    let mut hints = engine.watch();
    for _ in 0..3 {
        assert_eq!(engine.remove(cluster).await.unwrap(), Removal::Gone, "twice");
    }
    // Receivers of a hint call `remove` again, so a hint without a change would cause an endless loop. The
    // last hint of the removal itself may arrive late.
    let told = std::iter::from_fn(|| hints.try_recv().ok()).count();
    assert!(told <= 1, "{told} hints after the removal");
    assert_eq!(engine.observe(cluster).await.unwrap().phase, Phase::Absent);
    assert!(engine.list().await.unwrap().is_empty() && engine.report().await.unwrap().is_empty());
    engine.close(false).await;
}

async fn administrative_operations(driver: Driver) {
    let folder = Folder::new();
    let engine = driver.open(&folder).await;
    let plan = plan(&*engine, new_cluster());
    ready(&*engine, &plan).await;
    let mut admin = engine.admin(plan.cluster).await.unwrap();
    users(&mut *admin).await;
    databases(&mut *admin).await;
    drop(admin);
    engine.close(false).await;
}

async fn users(admin: &mut dyn Admin) {
    assert!(admin.users().await.unwrap().is_empty(), "the engine's roles are hidden");
    for name in ["maxroach", "a.b-c_9", "Zoe", "select"] {
        admin.create_user(name, PASSWORD).await.unwrap();
    }
    assert_eq!(admin.users().await.unwrap(), ["Zoe", "a.b-c_9", "maxroach", "select"]);
    let kind = |result: ootheca_model::Result<()>| result.unwrap_err().kind();
    assert_eq!(kind(admin.create_user("maxroach", PASSWORD).await), ErrorKind::Exists);
    assert_eq!(kind(admin.create_user("admin", PASSWORD).await), ErrorKind::Exists);
    admin.set_password("a.b-c_9", "another password").await.unwrap();
    assert_eq!(kind(admin.set_password("nobody", PASSWORD).await), ErrorKind::NotFound);
    admin.delete_user("a.b-c_9").await.unwrap();
    assert_eq!(kind(admin.delete_user("a.b-c_9").await), ErrorKind::NotFound);
    for own in ["admin", "ootheca"] {
        assert_eq!(kind(admin.delete_user(own).await), ErrorKind::NotFound, "{own}");
    }
    assert_eq!(admin.users().await.unwrap(), ["Zoe", "maxroach", "select"]);
}

async fn databases(admin: &mut dyn Admin) {
    let kind = |result: ootheca_model::Result<()>| result.unwrap_err().kind();
    assert_eq!(names(admin).await, ["defaultdb"]);
    for name in ["app.v-1", "Zeta"] {
        admin.create_database(name).await.unwrap();
    }
    assert_eq!(names(admin).await, ["Zeta", "app.v-1", "defaultdb"]);
    let named = ["app.v-1", "none", "defaultdb"].map(str::to_owned);
    assert_eq!(admin.count_tables(&named).await.unwrap(), [Some(0), None, Some(0)]);
    assert!(admin.is_empty("defaultdb").await.unwrap());
    assert_eq!(kind(admin.is_empty("none").await.map(drop)), ErrorKind::NotFound);
    assert_eq!(kind(admin.create_database("Zeta").await), ErrorKind::Exists);
    assert_eq!(kind(admin.rename_database("Zeta", "defaultdb").await), ErrorKind::Exists);
    assert_eq!(kind(admin.rename_database("none", "some").await), ErrorKind::NotFound);
    admin.rename_database("Zeta", "Eta").await.unwrap();
    admin.drop_database("app.v-1").await.unwrap();
    assert_eq!(kind(admin.drop_database("app.v-1").await), ErrorKind::NotFound);
    for own in ["postgres", "template1"] {
        assert_eq!(kind(admin.drop_database(own).await), ErrorKind::NotFound, "{own}");
    }
    assert_eq!(names(admin).await, ["Eta", "defaultdb"]);
}

async fn names(admin: &mut dyn Admin) -> Vec<String> {
    let databases = admin.databases().await.unwrap();
    assert!(databases.iter().all(|database| database.tables.is_none()));
    databases.into_iter().map(|database| database.name).collect()
}

async fn keeps_state_across_restarts(driver: Driver) {
    let folder = Folder::new();
    let engine = driver.open(&folder).await;
    let plan = plan(&*engine, new_cluster());
    ready(&*engine, &plan).await;
    let mut admin = engine.admin(plan.cluster).await.unwrap();
    admin.create_user("maxroach", PASSWORD).await.unwrap();
    admin.create_database("app").await.unwrap();
    drop(admin);
    engine.close(false).await;
    drop(engine);

    let engine = driver.open(&folder).await;
    assert_eq!(engine.list().await.unwrap(), [plan.cluster]);
    let observed = ready(&*engine, &plan).await;
    assert_eq!(observed.generation, 1);
    assert!(observed.conditions.is_empty(), "a regular start has no conditions");
    let mut admin = engine.admin(plan.cluster).await.unwrap();
    assert_eq!(admin.users().await.unwrap(), ["maxroach"]);
    assert_eq!(names(&mut *admin).await, ["app", "defaultdb"]);
    drop(admin);
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_never_recreates_missing_data() {
    never_makes_missing_data(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_never_recreates_missing_data() {
    never_makes_missing_data(Driver::Simulated).await;
}

async fn never_makes_missing_data(driver: Driver) {
    let folder = Folder::new();
    let engine = driver.open(&folder).await;
    let on = plan(&*engine, new_cluster());
    let missing = engine.ensure(&on).await.unwrap();
    assert_eq!((missing.phase, missing.nodes.len(), missing.generation), (Phase::Absent, 0, 0));
    assert_eq!(missing.conditions[0].kind, Condition::DATA_MISSING);
    assert!(missing.conditions[0].holds && engine.list().await.unwrap().is_empty());
    ready(&*engine, &on).await;
    engine.admin(on.cluster).await.unwrap().create_user("maxroach", PASSWORD).await.unwrap();
    engine.close(false).await;
    drop(engine);

    // Missing at startup, and restored while the engine runs.
    let report = driver.open(&folder).await.report().await.unwrap();
    let data = match driver {
        Driver::Postgres => report[0].data.parent().unwrap().to_owned(),
        Driver::Simulated => report[0].data.clone(),
    };
    let away = folder.engine().with_extension("away");
    std::fs::rename(&data, &away).unwrap();
    let engine = driver.open(&folder).await;
    for plan in [&on, &InstancePlan { power: Power::Off, ..on.clone() }] {
        let missing = engine.ensure(plan).await.unwrap();
        assert_eq!(
            (missing.phase, missing.conditions[0].kind.as_str()),
            (Phase::Absent, Condition::DATA_MISSING)
        );
    }
    assert_eq!(engine.admin(on.cluster).await.err().unwrap().kind(), ErrorKind::Unavailable);
    std::fs::rename(&away, &data).unwrap();
    let observed = ready_again(&*engine, &on).await;
    assert!(observed.conditions.is_empty());
    assert_eq!(engine.admin(on.cluster).await.unwrap().users().await.unwrap(), ["maxroach"]);
    gone(&*engine, on.cluster).await;
    engine.close(false).await;
}

#[tokio::test]
async fn a_claimed_instance_without_its_data_is_kept() {
    let folder = Folder::new();
    let engine = Driver::Postgres.open(&folder).await;
    let on = plan(&*engine, new_cluster());
    ready(&*engine, &on).await;
    engine.close(false).await;
    let data = engine.report().await.unwrap()[0].data.clone();
    drop(engine);
    let away = folder.engine().with_extension("away");
    std::fs::rename(&data, &away).unwrap();
    let engine = Driver::Postgres.open(&folder).await;
    let missing = engine.ensure(&on).await.unwrap();
    assert!(missing.conditions[0].message.contains(data.to_str().unwrap()), "{missing:?}");
    std::fs::rename(&away, &data).unwrap();
    ready_again(&*engine, &on).await;
    // Lost while the server is down: the server is not started without the data, and the instance is kept.
    let pid = engine.observe(on.cluster).await.unwrap().nodes[0].pid.unwrap();
    std::fs::rename(&data, &away).unwrap();
    signal(pid, Signal::KILL);
    until("missing", || async {
        let observed = engine.ensure(&on).await.unwrap();
        (observed.phase == Phase::Absent).then_some(())
    })
    .await;
    std::fs::rename(&away, &data).unwrap();
    ready_again(&*engine, &on).await;
    std::fs::rename(&data, &away).unwrap();
    gone(&*engine, on.cluster).await;
    assert!(engine.report().await.unwrap().is_empty(), "a deleted cluster leaves no folder");
    engine.close(false).await;
    std::fs::remove_dir_all(&away).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_suspends_and_resumes() {
    suspends_and_resumes(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_suspends_and_resumes() {
    suspends_and_resumes(Driver::Simulated).await;
}

async fn suspends_and_resumes(driver: Driver) {
    let folder = Folder::new();
    let engine = driver.open(&folder).await;
    let on = plan(&*engine, new_cluster());
    let off = InstancePlan { power: Power::Off, ..on.clone() };
    let cluster = on.cluster;
    ready(&*engine, &on).await;
    let mut before = engine.admin(cluster).await.unwrap();
    before.create_user("maxroach", PASSWORD).await.unwrap();
    before.create_database("app").await.unwrap();

    let mut hints = engine.watch();
    engine.ensure(&off).await.unwrap();
    while engine.observe(cluster).await.unwrap().phase != Phase::Suspended {
        tokio::time::timeout(LIMIT, hints.recv()).await.expect("a hint of the suspension").unwrap();
    }
    let observed = engine.observe(cluster).await.unwrap();
    assert!(observed.nodes.is_empty() && observed.retry_after.is_none() && observed.conditions.is_empty());
    assert_eq!(observed.generation, 1);
    assert_eq!(engine.ensure(&off).await.unwrap(), observed, "a second time changes nothing");
    assert_eq!(engine.list().await.unwrap(), [cluster]);
    assert_eq!(engine.report().await.unwrap().len(), 1);
    assert_eq!(before.users().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(engine.admin(cluster).await.err().unwrap().kind(), ErrorKind::Unavailable);
    assert_eq!(engine.cpu(cluster).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(engine.measure(cluster).await.unwrap_err().kind(), ErrorKind::Unavailable);
    let older = InstancePlan { generation: 0, ..on.clone() };
    assert_eq!(engine.ensure(&older).await.unwrap_err().kind(), ErrorKind::Stale);
    engine.close(false).await;
    drop((before, engine));

    let engine = driver.open(&folder).await;
    assert_eq!(engine.observe(cluster).await.unwrap().phase, Phase::Suspended, "nothing starts it");
    let newer = InstancePlan { generation: 2, ..on.clone() };
    assert_eq!(ready(&*engine, &newer).await.nodes.len(), 1);
    assert_eq!(engine.ensure(&on).await.unwrap_err().kind(), ErrorKind::Stale);
    let mut admin = engine.admin(cluster).await.unwrap();
    assert_eq!(admin.users().await.unwrap(), ["maxroach"]);
    assert_eq!(names(&mut *admin).await, ["app", "defaultdb"]);
    engine.measure(cluster).await.unwrap();
    drop(admin);

    // The last plan wins, however quickly it follows.
    let off = InstancePlan { power: Power::Off, ..newer.clone() };
    for _ in 0..3 {
        engine.ensure(&off).await.unwrap();
        engine.ensure(&newer).await.unwrap();
    }
    ready(&*engine, &newer).await;
    for _ in 0..3 {
        engine.ensure(&newer).await.unwrap();
        engine.ensure(&off).await.unwrap();
    }
    suspended(&*engine, &off).await;
    gone(&*engine, cluster).await;
    assert!(engine.list().await.unwrap().is_empty() && engine.report().await.unwrap().is_empty());
    // A cluster that is suspended from the start.
    let off = InstancePlan { cluster: new_cluster(), ..off };
    suspended(&*engine, &off).await;
    engine.close(false).await;
}
