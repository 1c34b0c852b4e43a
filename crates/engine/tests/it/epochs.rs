//! Data epochs: staged instances, and the switch to another one.

use crate::fixture::{Fixture, kind};
use crate::support::{Driver, PASSWORD, gone, new_cluster, processes_below, ready_again, suspended, until};
use ootheca_engine::{InstanceReport, Source, postgres::report};
use ootheca_model::{
    ClusterId, ErrorKind,
    instance::{Condition, InstancePlan, Phase, Power},
};

impl Fixture {
    /// Starts a cluster that contains the user `first`.
    async fn cluster_with_user(&self) -> InstancePlan {
        let plan = self.empty_cluster().await;
        self.engine.admin(plan.cluster).await.unwrap().create_user("first", PASSWORD).await.unwrap();
        plan
    }

    async fn users(&self, plan: &InstancePlan) -> Vec<String> {
        ready_again(&*self.engine, plan).await;
        self.engine.admin(plan.cluster).await.unwrap().users().await.unwrap()
    }

    async fn stage_empty(&self, cluster: ClusterId, epoch: u64) {
        self.engine.stage(cluster, epoch, &Source::Empty, None).await.unwrap();
    }

    async fn report_of(&self, epoch: u64) -> InstanceReport {
        let reports = self.engine.report().await.unwrap();
        reports.into_iter().find(|report| report.epoch == epoch).unwrap()
    }
}

fn at_epoch(plan: &InstancePlan, epoch: u64) -> InstancePlan {
    InstancePlan { epoch, generation: plan.generation + 1, ..plan.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_switches_to_a_staged_epoch() {
    switches_to_a_staged_epoch(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_switches_to_a_staged_epoch() {
    switches_to_a_staged_epoch(Driver::Simulated).await;
}

async fn switches_to_a_staged_epoch(driver: Driver) {
    let mut fixture = Fixture::new(driver).await;
    let old = fixture.cluster_with_user().await;
    let cluster = old.cluster;
    fixture.restart(true).await;
    fixture.stage_empty(cluster, 1).await;
    assert_eq!(fixture.engine.list().await.unwrap(), [cluster], "once");
    assert_eq!(fixture.epochs().await, [0, 1]);
    assert!(fixture.report_of(1).await.pid.is_none(), "its server does not run");
    assert_eq!(fixture.users(&old).await, ["first"]);

    // Nothing but a plan makes it serve.
    for detach in [true, false] {
        fixture.restart(detach).await;
        assert_eq!(fixture.engine.list().await.unwrap(), [cluster], "once");
        assert_eq!(fixture.users(&old).await, ["first"]);
    }
    fixture.restart(true).await;
    let new = at_epoch(&old, 1);
    let observed = ready_again(&*fixture.engine, &new).await;
    assert_eq!((observed.generation, observed.nodes.len()), (2, 1));
    assert!(observed.conditions.is_empty() && observed.nodes[0].live);
    assert_eq!(fixture.users(&new).await, Vec::<String>::new());
    assert_eq!(fixture.epochs().await, [0, 1], "the old data is kept");
    assert_eq!(fixture.engine.list().await.unwrap(), [cluster], "once");
    fixture.engine.admin(cluster).await.unwrap().create_user("second", PASSWORD).await.unwrap();

    // Without a plan, the epoch that served last does.
    for detach in [true, false] {
        fixture.restart(detach).await;
        assert_eq!(kind(fixture.engine.ensure(&old).await), ErrorKind::Stale);
        assert_eq!(fixture.users(&new).await, ["second"]);
    }
    for _ in 0..2 {
        fixture.engine.discard(cluster, 1).await.unwrap();
        assert_eq!(fixture.epochs().await, [1]);
        fixture.restart(true).await;
        ready_again(&*fixture.engine, &new).await;
    }
    assert_eq!(fixture.users(&new).await, ["second"]);
    gone(&*fixture.engine, cluster).await;
    assert!(fixture.engine.list().await.unwrap().is_empty() && fixture.epochs().await.is_empty());
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_discards_a_staged_epoch() {
    discards_a_staged_epoch(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_discards_a_staged_epoch() {
    discards_a_staged_epoch(Driver::Simulated).await;
}

async fn discards_a_staged_epoch(driver: Driver) {
    let mut fixture = Fixture::new(driver).await;
    let old = fixture.cluster_with_user().await;
    fixture.stage_empty(old.cluster, 3).await;
    assert_eq!(
        kind(fixture.engine.discard(old.cluster, 3).await),
        ErrorKind::Unavailable,
        "it does not serve"
    );
    assert_eq!(
        kind(fixture.engine.discard(old.cluster, 7).await),
        ErrorKind::Unavailable,
        "it does not exist"
    );
    assert_eq!(fixture.epochs().await, [0, 3]);
    fixture.restart(true).await;
    ready_again(&*fixture.engine, &old).await;
    fixture.engine.discard(old.cluster, 0).await.unwrap();
    assert_eq!(fixture.epochs().await, [0]);
    fixture.restart(true).await;
    assert_eq!(fixture.users(&old).await, ["first"]);
    // The same epoch can be staged again.
    fixture.stage_empty(old.cluster, 3).await;
    assert_eq!(fixture.users(&at_epoch(&old, 3)).await, Vec::<String>::new());
    gone(&*fixture.engine, old.cluster).await;
    assert_eq!(kind(fixture.engine.discard(old.cluster, 0).await), ErrorKind::Unavailable);
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_stages_an_epoch_once() {
    stages_an_epoch_once(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_stages_an_epoch_once() {
    stages_an_epoch_once(Driver::Simulated).await;
}

async fn stages_an_epoch_once(driver: Driver) {
    let mut fixture = Fixture::new(driver).await;
    let unknown = new_cluster();
    assert_eq!(kind(fixture.engine.stage(unknown, 1, &Source::Empty, None).await), ErrorKind::Precondition);
    let old = fixture.cluster_with_user().await;
    let stage = || fixture.engine.stage(old.cluster, 2, &Source::Empty, None);
    let (a, b, c) = tokio::join!(stage(), stage(), stage());
    a.and(b).and(c).unwrap();
    assert_eq!(fixture.epochs().await, [0, 2]);
    let staged = fixture.report_of(2).await.instance;
    fixture.restart(true).await;
    ready_again(&*fixture.engine, &old).await;
    fixture.stage_empty(old.cluster, 2).await;
    assert_eq!(fixture.report_of(2).await.instance, staged, "a complete one is kept");
    assert_eq!(kind(fixture.engine.stage(old.cluster, 0, &Source::Empty, None).await), ErrorKind::Stale);

    let new = at_epoch(&old, 2);
    ready_again(&*fixture.engine, &new).await;
    for epoch in [0, 1, 2] {
        let staged = fixture.engine.stage(old.cluster, epoch, &Source::Empty, None).await;
        assert_eq!(kind(staged), ErrorKind::Stale);
    }
    for stale in [&old, &at_epoch(&old, 1), &InstancePlan { generation: 1, ..new.clone() }] {
        assert_eq!(kind(fixture.engine.ensure(stale).await), ErrorKind::Stale);
        assert_eq!(kind(fixture.engine.create(stale).await), ErrorKind::Stale);
    }
    assert_eq!(fixture.users(&new).await, Vec::<String>::new());
    fixture.stage_empty(old.cluster, 4).await;
    fixture.stage_empty(old.cluster, 9).await;
    assert_eq!(fixture.epochs().await, [0, 2, 4, 9]);
    fixture.restart(true).await;
    gone(&*fixture.engine, old.cluster).await;
    assert!(fixture.engine.list().await.unwrap().is_empty() && fixture.epochs().await.is_empty());
    fixture.restart(true).await;
    assert!(fixture.engine.list().await.unwrap().is_empty() && fixture.epochs().await.is_empty());
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_never_serves_an_older_epoch() {
    never_serves_an_older_epoch(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_never_serves_an_older_epoch() {
    never_serves_an_older_epoch(Driver::Simulated).await;
}

async fn never_serves_an_older_epoch(driver: Driver) {
    let mut fixture = Fixture::new(driver).await;
    let old = fixture.cluster_with_user().await;
    fixture.stage_empty(old.cluster, 1).await;
    let unknown = at_epoch(&old, 2);
    for restarted in [false, true] {
        if restarted {
            fixture.restart(true).await;
        }
        for missing in
            [fixture.engine.ensure(&unknown).await.unwrap(), fixture.engine.create(&unknown).await.unwrap()]
        {
            assert_eq!((missing.phase, missing.nodes.len()), (Phase::Absent, 0));
            assert_eq!(missing.conditions[0].kind, Condition::DATA_MISSING);
        }
        assert_eq!(kind(fixture.engine.ensure(&old).await), ErrorKind::Stale);
        assert_eq!(kind(fixture.engine.stage(old.cluster, 2, &Source::Empty, None).await), ErrorKind::Stale);
        assert_eq!(kind(fixture.engine.discard(old.cluster, 0).await), ErrorKind::Unavailable);
        assert_eq!(fixture.engine.admin(old.cluster).await.err().unwrap().kind(), ErrorKind::Unavailable);
        until("the server is stopped", || async { fixture.report_of(0).await.pid.is_none().then_some(()) })
            .await;
    }
    assert_eq!(fixture.engine.list().await.unwrap(), [old.cluster]);
    assert_eq!(fixture.epochs().await, [0, 1], "nothing is removed");
    gone(&*fixture.engine, old.cluster).await;
    assert!(fixture.epochs().await.is_empty());
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_switches_while_suspended() {
    switches_while_suspended(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_switches_while_suspended() {
    switches_while_suspended(Driver::Simulated).await;
}

async fn switches_while_suspended(driver: Driver) {
    let mut fixture = Fixture::new(driver).await;
    let old = fixture.cluster_with_user().await;
    let off = InstancePlan { power: Power::Off, ..old.clone() };
    suspended(&*fixture.engine, &off).await;
    fixture.stage_empty(old.cluster, 1).await;
    let observed = suspended(&*fixture.engine, &at_epoch(&off, 1)).await;
    assert_eq!((observed.generation, observed.nodes.len()), (2, 0));
    fixture.restart(false).await;
    assert_eq!(
        fixture.engine.observe(old.cluster).await.unwrap().phase,
        Phase::Suspended,
        "nothing starts it"
    );
    fixture.engine.discard(old.cluster, 1).await.unwrap();
    assert_eq!(fixture.epochs().await, [1]);
    assert_eq!(fixture.users(&at_epoch(&old, 1)).await, Vec::<String>::new());
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_epochs_never_run_at_the_same_time() {
    let fixture = Fixture::new(Driver::Postgres).await;
    let old = fixture.cluster_with_user().await;
    fixture.stage_empty(old.cluster, 1).await;
    let [first, second] = [0, 1].map(|epoch| {
        let reports = report(&fixture.folder.engine()).unwrap();
        reports.into_iter().find(|report| report.epoch == epoch).unwrap().data
    });
    // The plan may change while the server of the old epoch stops, and calls overlap.
    let new = at_epoch(&old, 1);
    let off = InstancePlan { power: Power::Off, ..new.clone() };
    until("ready", || async {
        // In this order, because a server of the first epoch never follows one of the second.
        let started = !processes_below(&second).is_empty();
        assert!(!started || processes_below(&first).is_empty(), "both run");
        if !started {
            let (suspended, resumed) = tokio::join!(fixture.engine.ensure(&off), fixture.engine.ensure(&new));
            suspended.and(resumed).unwrap();
        }
        let observed = fixture.engine.ensure(&new).await.unwrap();
        (observed.phase == Phase::Ready).then_some(())
    })
    .await;
    assert_eq!(fixture.users(&new).await, Vec::<String>::new());
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_during_staging() {
    let fixture = Fixture::new(Driver::Postgres).await;
    let old = fixture.cluster_with_user().await;
    let stage = fixture.engine.stage(old.cluster, 1, &Source::Empty, None);
    let (staged, ()) = tokio::join!(stage, gone(&*fixture.engine, old.cluster));
    if let Err(error) = staged {
        assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Precondition), "{error}");
    }
    assert!(fixture.epochs().await.is_empty(), "nothing of it is left");
    fixture.close().await;
}
