//! The engine is killed after each side effect of a clone. The source must be as it was, and what is left of the clone
//! can be discarded, whether it is complete or not.
//!
//! A failpoint kills its whole process, so the engine runs in another process of this program: the test that is
//! ignored otherwise.

use super::{
    at_epoch, destination, no_backup_is_left, nothing_else_is_left, numbers, source_of, with_numbers,
};
use crate::support::{Folder, postgres, ready_again, suspended};
use ootheca_durable::failpoint;
use ootheca_engine::{
    Engine,
    postgres::{PostgresEngine, Settings},
};
use ootheca_model::instance::{InstancePlan, Phase, Power};
use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Command,
};

const VARIABLE: &str = "OOTHECA_CRASH_AFTER_EFFECT";
/// The engine's folder in the process that is killed.
const ENGINE: &str = "OOTHECA_TEST_ENGINE";
/// The start of the message of a process before it kills itself.
const SAID: &str = "stopped after the effect: ";
const KILLED: i32 = 9;
/// More side effects than a clone has.
const ENOUGH: usize = 30;

/// The file with the plans of the source and of the cluster that gets the clone.
fn plans(engine: &Path) -> PathBuf {
    engine.with_extension("plans")
}

/// Opens the engine, and waits until both clusters are as planned.
async fn open(folder: &Folder, [from, to]: &[InstancePlan; 2]) -> PostgresEngine {
    let engine = postgres(folder, 0).await;
    as_planned(&engine, from).await;
    as_planned(&engine, to).await;
    engine
}

async fn as_planned(engine: &PostgresEngine, plan: &InstancePlan) {
    match plan.power {
        Power::On => ready_again(engine, plan).await,
        Power::Off => suspended(engine, plan).await,
    };
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is killed; started by the tests below"]
async fn process() {
    let Some(folder) = std::env::var_os(ENGINE).map(PathBuf::from) else { return };
    let [from, to]: [InstancePlan; 2] = serde_json::from_slice(&fs::read(plans(&folder)).unwrap()).unwrap();
    let settings = Settings { folder, pool_size: 0, shared_buffers: "8MB".to_owned(), ..Settings::default() };
    let engine = PostgresEngine::new(settings).unwrap();
    engine.open().await.unwrap();
    as_planned(&engine, &from).await;
    as_planned(&engine, &to).await;
    failpoint::arm();
    engine.stage(to.cluster, 1, &source_of(&from), None).await.unwrap();
    engine.close(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clones_of_running_clusters_survive_a_crash_after_each_effect() {
    let expected = ["data copied", "server started", "copied data recovered", "staged instance claimed"];
    survive_a_crash_after_each_effect(Power::On, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clones_of_suspended_clusters_survive_a_crash_after_each_effect() {
    survive_a_crash_after_each_effect(Power::Off, &["data copied", "staged instance claimed"]).await;
}

async fn survive_a_crash_after_each_effect(power: Power, expected: &[&str]) {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let on = with_numbers(&engine, 3).await;
    let from = InstancePlan { power, ..on.clone() };
    let both = [from.clone(), destination(&engine).await];
    as_planned(&engine, &from).await;
    engine.close(true).await;
    drop(engine);
    let to = &both[1];
    fs::write(plans(&folder.engine()), serde_json::to_vec(&both).unwrap()).unwrap();

    let mut effects = Vec::new();
    loop {
        assert!(effects.len() < ENOUGH, "more effects than that: {effects:?}");
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["clones::crash::process", "--exact", "--ignored", "--nocapture"])
            .env(ENGINE, folder.engine())
            .env(VARIABLE, (effects.len() + 1).to_string())
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let survived = output.status.success();
        assert!(survived || output.status.signal() == Some(KILLED), "{}: {log}", output.status);
        let effect = log.lines().find_map(|line| line.split_once(SAID)).map(|(_, name)| name.to_owned());
        assert_eq!(effect.is_none(), survived, "{log}");

        let engine = open(&folder, &both).await;
        let epochs: Vec<u64> = engine.report().await.unwrap().iter().map(|report| report.epoch).collect();
        assert!(!survived || epochs.contains(&1), "the clone is complete: {epochs:?}");
        engine.discard(to.cluster, 0).await.unwrap();
        nothing_else_is_left(&folder, &engine, 2).await;
        match power {
            Power::On => no_backup_is_left(&engine, from.cluster).await,
            Power::Off => assert_eq!(engine.observe(from.cluster).await.unwrap().phase, Phase::Suspended),
        }
        engine.close(true).await;
        match effect {
            Some(effect) => effects.push(effect),
            None => break,
        }
    }
    for name in expected {
        assert!(effects.iter().any(|effect| effect == name), "{name} is not in {effects:?}");
    }
    fs::remove_file(plans(&folder.engine())).unwrap();

    let engine = open(&folder, &both).await;
    engine.stage(to.cluster, 1, &source_of(&from), None).await.unwrap();
    assert_eq!(numbers(&engine, &at_epoch(to, 1)).await, (3, 3));
    assert_eq!(numbers(&engine, &on).await, (3, 3));
    engine.close(false).await;
}
