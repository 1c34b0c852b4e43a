//! What disturbed runs have found, each with only the disturbances that it needs.

use super::{
    history::Operation,
    loops::SCANNED,
    outcome::outcome,
    world::{World, virtual_time},
};
use ootheca_engine::Engine;
use ootheca_model::instance::{InstancePlan, Power};
use serde_json::json;
use std::time::Duration;

/// The laws that do not hold after `test`, without other disturbances.
fn directed(test: impl AsyncFnOnce(&mut World)) -> Vec<String> {
    virtual_time().block_on(async {
        let mut world = World::new(1, false, None).await;
        world.run(&basic()).await;
        test(&mut world).await;
        outcome(world).await.violations
    })
}

fn basic() -> Operation {
    Operation::Create { name: "basic-cluster".to_owned(), standard: false }
}

const USE: Operation = Operation::Use { cluster: 0, rows: 10, sent_kib: 7, grown_mib: 1 };

#[test]
fn bytes_are_metered_once_if_the_response_of_the_store_is_lost() {
    let violations = directed(async |world| {
        world.schedule.plan("response to commit", "Meter");
        world.run(&USE).await;
        world.run(&USE).await;
    });
    assert_eq!(violations, Vec::<String>::new());
}

#[test]
fn data_of_a_suspended_cluster_that_is_put_back_during_a_restart_is_served_again() {
    let violations = directed(async |world| {
        world.run(&Operation::Advance { seconds: 1_000 }).await;
        assert_eq!(world.stored(0).await.power, Power::Off);
        world.run(&Operation::Lose { cluster: 0 }).await;
        world.settle(SCANNED).await;
        assert!(world.stored(0).await.observed.is_data_missing());
        world.perform(&Operation::Restore { cluster: 0 }).await;
        world.restart().await;
    });
    assert_eq!(violations, Vec::<String>::new());
}

#[test]
fn a_step_that_stays_stale_is_repeated_with_pauses() {
    let mut steps = 0;
    directed(async |world| {
        // As if the store was replaced by an older copy.
        let id = world.subjects[0].id;
        let before = world.engine.inner.observe(id).await.expect("observed");
        let plan = world.stored(0).await.plan_instance();
        let newer = InstancePlan { generation: before.generation + 1, ..plan };
        world.engine.inner.ensure(&newer).await.expect("ensured");
        let lines = world.schedule.trace().len();
        world.loops.act_for(Duration::from_secs(60)).await;
        let trace = world.schedule.trace();
        steps = trace[lines..].iter().filter(|line| line.ends_with(": Stale")).count();
        // The generation of the store catches up.
        let limits = json!({ "provisioned_virtual_cpus": "2" });
        world.patch(0, json!({ "plan": "STANDARD", "serverless": { "usage_limits": limits } })).await;
    });
    assert!((3..20).contains(&steps), "{steps} steps in a minute");
}

#[test]
fn a_cluster_that_is_deleted_before_its_shutdown_is_only_removed() {
    let violations = directed(async |world| {
        world.run(&Operation::Advance { seconds: 1_000 }).await;
        world.perform(&Operation::Lose { cluster: 0 }).await;
        let (lifecycle, id) = (world.loops.lifecycle.clone(), world.subjects[0].id);
        let suspension = lifecycle.tracker.suspension(id);
        let alone = suspension.begin().await.expect("not in use");
        // It has read the cluster and waits.
        world.loops.duplicate(id);
        tokio::task::yield_now().await;
        world.perform(&Operation::Delete { cluster: 0 }).await;
        drop(alone);
        world.loops.drain().await;
    });
    assert_eq!(violations, Vec::<String>::new());
}

#[test]
fn the_activity_of_a_deleted_cluster_is_forgotten() {
    let violations = directed(async |world| {
        world.perform(&USE).await;
        world.run(&Operation::Delete { cluster: 0 }).await;
    });
    assert_eq!(violations, Vec::<String>::new());
}

#[test]
fn failures_of_the_store_are_no_attempts_to_create_a_cluster() {
    let violations = directed(async |world| {
        for _ in 0..8 {
            world.schedule.plan("response to commit", "Cluster");
            world.schedule.plan("read", "Cluster");
        }
        world.schedule.plan("create", "");
        world.run(&Operation::Create { name: "standard-cluster".to_owned(), standard: true }).await;
    });
    assert_eq!(violations, Vec::<String>::new());
}
