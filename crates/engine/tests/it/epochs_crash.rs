//! The engine is killed after each side effect of staging, switching to, and discarding a data epoch, which is empty,
//! comes from a backup, or is that of a moment before the end of a backup. The next one must serve the epoch of the
//! plan, and nothing else may be left.
//!
//! A failpoint kills its whole process, so the engine runs in another process of this program: the test that is
//! ignored otherwise.

use crate::{
    archive::Archive,
    support::{
        Driver, Folder, alive, gone, new_cluster, plan, processes_below, ready, ready_again, until, user,
    },
};
use ootheca_durable::failpoint;
use ootheca_engine::{
    Engine, Source,
    postgres::{PostgresEngine, Settings},
    simulated::SimulatedEngine,
};
use ootheca_model::{
    Timestamp,
    instance::{InstancePlan, Power},
};
use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::SystemTime,
};

const VARIABLE: &str = "OOTHECA_CRASH_AFTER_EFFECT";
/// The engine's folder in the process that is killed.
const ENGINE: &str = "OOTHECA_TEST_ENGINE";
/// Set if that process stages a backup: to [`WHOLE`] or [`MOMENT`].
const BACKUP: &str = "OOTHECA_TEST_BACKUP";
const WHOLE: &str = "whole";
const MOMENT: &str = "moment";
/// The start of the message of a process before it kills itself.
const SAID: &str = "stopped after the effect: ";
const KILLED: i32 = 9;
/// More side effects than the change has.
const ENOUGH: usize = 40;

/// What is staged.
#[derive(Clone, Copy)]
enum Content {
    Empty,
    Backup,
    /// A moment before the end of a backup.
    Moment,
}

impl Content {
    /// The users before the change, and after it.
    fn users(self) -> [&'static [&'static str]; 2] {
        match self {
            Self::Empty => [&["first"], &[]],
            Self::Backup | Self::Moment => [&["first", "second"], &["first"]],
        }
    }

    fn variable(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Empty => None,
            Self::Backup => Some((BACKUP, WHOLE)),
            Self::Moment => Some((BACKUP, MOMENT)),
        }
    }
}

/// The files with the plans before and after the change, and the one that stands for the commit of the second.
fn plans(engine: &Path) -> [PathBuf; 3] {
    ["old", "new", "committed"].map(|name| engine.with_extension(name))
}

fn read(path: &Path) -> InstancePlan {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_epochs_survive_a_crash_after_each_effect() {
    survives_a_crash_after_each_effect(Driver::Postgres, Content::Empty).await;
}

#[tokio::test]
async fn simulated_epochs_survive_a_crash_after_each_effect() {
    survives_a_crash_after_each_effect(Driver::Simulated, Content::Empty).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_restores_survive_a_crash_after_each_effect() {
    survives_a_crash_after_each_effect(Driver::Postgres, Content::Backup).await;
}

#[tokio::test]
async fn simulated_restores_survive_a_crash_after_each_effect() {
    survives_a_crash_after_each_effect(Driver::Simulated, Content::Backup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_restores_to_a_moment_survive_a_crash_after_each_effect() {
    survives_a_crash_after_each_effect(Driver::Postgres, Content::Moment).await;
}

#[tokio::test]
async fn simulated_restores_to_a_moment_survive_a_crash_after_each_effect() {
    survives_a_crash_after_each_effect(Driver::Simulated, Content::Moment).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is killed; started by the tests above"]
async fn postgres_process() {
    let Some(folder) = std::env::var_os(ENGINE).map(PathBuf::from) else { return };
    let settings = Settings {
        folder: folder.clone(),
        pool_size: 0,
        shared_buffers: "8MB".to_owned(),
        archive_wal: true,
        ..Settings::default()
    };
    change(&folder, &PostgresEngine::new(settings).unwrap()).await;
}

#[tokio::test]
#[ignore = "it is killed; started by the tests above"]
async fn simulated_process() {
    let Some(folder) = std::env::var_os(ENGINE).map(PathBuf::from) else { return };
    change(&folder, &SimulatedEngine::new(folder.clone())).await;
}

/// Stages an epoch, switches to it, and discards the other.
async fn change(folder: &Path, engine: &dyn Engine) {
    let [old, new, committed] = plans(folder);
    let (old, new) = (read(&old), read(&new));
    engine.open().await.unwrap();
    ready_again(engine, &old).await;
    let source = match std::env::var(BACKUP).as_deref() {
        Ok(WHOLE) => {
            let backup = Archive::begin(engine, &old).await.take(engine, &old).await;
            user(engine, old.cluster, "second").await;
            backup.source()
        }
        Ok(MOMENT) => {
            let mut archive = Archive::begin(engine, &old).await;
            let moment = Timestamp::from(SystemTime::now());
            user(engine, old.cluster, "second").await;
            archive.take(engine, &old).await.at(moment).source()
        }
        _ => Source::Empty,
    };
    failpoint::arm();
    engine.stage(new.cluster, new.epoch, &source, None).await.unwrap();
    fs::write(committed, "").unwrap();
    ready_again(engine, &new).await;
    engine.discard(new.cluster, new.epoch).await.unwrap();
    engine.close(true).await;
}

fn run_process(driver: Driver, content: Content, folder: &Folder, effects: usize) -> Output {
    let name = match driver {
        Driver::Postgres => "epochs_crash::postgres_process",
        Driver::Simulated => "epochs_crash::simulated_process",
    };
    Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--ignored", "--nocapture"])
        .env(ENGINE, folder.engine())
        .env(VARIABLE, effects.to_string())
        .envs(content.variable())
        .output()
        .unwrap()
}

async fn survives_a_crash_after_each_effect(driver: Driver, content: Content) {
    let folder = Folder::new();
    let [old_file, new_file, committed] = plans(&folder.engine());
    let mut effects = Vec::new();
    loop {
        assert!(effects.len() < ENOUGH, "more effects than that: {effects:?}");
        let engine = driver.open_archiving(&folder).await;
        let old = plan(&*engine, new_cluster());
        let new = InstancePlan { epoch: 1, generation: 2, ..old.clone() };
        ready(&*engine, &old).await;
        user(&*engine, old.cluster, "first").await;
        engine.close(true).await;
        drop(engine);
        fs::write(&old_file, serde_json::to_vec(&old).unwrap()).unwrap();
        fs::write(&new_file, serde_json::to_vec(&new).unwrap()).unwrap();
        let _ = fs::remove_file(&committed);

        let output = run_process(driver, content, &folder, effects.len() + 1);
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let survived = output.status.success();
        assert!(survived || output.status.signal() == Some(KILLED), "{}: {log}", output.status);
        let effect = log.lines().find_map(|line| line.split_once(SAID)).map(|(_, name)| name.to_owned());
        assert_eq!(effect.is_none(), survived, "{log}");

        let engine = driver.open_archiving(&folder).await;
        let [before, after] = content.users();
        let (served, users) = if committed.exists() { (&new, after) } else { (&old, before) };
        ready_again(&*engine, served).await;
        let found = engine.admin(old.cluster).await.unwrap().users().await.unwrap();
        assert_eq!(found, users, "after {effect:?}");
        engine.discard(old.cluster, served.epoch).await.unwrap();
        nothing_else_is_left(driver, &folder, &*engine, served).await;
        // It can be staged again, whatever was there.
        engine.stage(old.cluster, 5, &Source::Empty, None).await.unwrap();
        gone(&*engine, old.cluster).await;
        assert!(engine.report().await.unwrap().is_empty());
        engine.close(false).await;
        match effect {
            Some(effect) => effects.push(effect),
            None => break,
        }
    }
    let expected: &[&str] = match driver {
        Driver::Postgres => &["staged instance claimed", "plan written", "instance moved to the trash"],
        Driver::Simulated => &["simulated cluster written", "simulated cluster removed"],
    };
    for name in expected {
        assert!(effects.iter().any(|effect| effect == name), "{name} is not in {effects:?}");
    }
    for file in [old_file, new_file, committed] {
        fs::remove_file(file).unwrap();
    }
}

/// Waits until the instance that serves is the only one, and no other process runs.
pub(crate) async fn nothing_else_is_left(
    driver: Driver,
    folder: &Folder,
    engine: &dyn Engine,
    plan: &InstancePlan,
) {
    assert_eq!(plan.power, Power::On);
    until("nothing else is left", || async {
        let reports = engine.report().await.unwrap();
        let [only] = &reports[..] else { return None };
        let names = |name: &str| fs::read_dir(folder.engine().join(name)).map_or(0, Iterator::count);
        let elsewhere = processes_below(&folder.engine()).into_iter().filter(|pid| {
            let cwd = fs::read_link(format!("/proc/{pid}/cwd"));
            cwd.is_ok_and(|cwd| !cwd.starts_with(&only.data)) && alive(*pid)
        });
        let clean = match driver {
            Driver::Postgres => (names("instances"), names("trash"), elsewhere.count()) == (1, 0, 0),
            Driver::Simulated => true,
        };
        (clean && (only.cluster, only.epoch) == (Some(plan.cluster), plan.epoch)).then_some(())
    })
    .await;
}
