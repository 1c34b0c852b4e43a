//! The crash test: the server is killed after its first side effect, its second, and so on, until a run
//! finishes without being killed. After each kill, a server that restarts in the same directory must have
//! every acknowledged change and leave nothing behind.

mod backups;
mod clones;
mod contents;
mod flows;

use crate::support::{PROGRAM, audit_log, id};
use ootheca_testkit::{Answer, Engine, Lost, Ootheca, ServerBuilder, eventually, processes};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::{collections::BTreeSet, fs, os::unix::process::ExitStatusExt as _, path::Path};

pub(crate) const VARIABLE: &str = "OOTHECA_CRASH_AFTER_EFFECT";
const IDLE: &str = "OOTHECA_SCALE_TO_ZERO__IDLE_SECONDS";
const NEVER: &str = "0";
/// The start of the message that the program prints before it kills itself.
pub(crate) const SAID: &str = "stopped after the effect: ";
/// The signal with which it kills itself.
pub(crate) const KILLED: i32 = 9;
/// A kill point that is never reached.
const NO_EFFECT: &str = "0";
/// More side effects than any flow has.
pub(crate) const ENOUGH: usize = 60;

/// A change under test.
trait Flow {
    /// Creates what the change needs, without being killed. Returns the cluster, if there is one.
    fn prepare(&mut self, server: &Ootheca);
    /// Makes the change.
    fn act(&self, server: &Ootheca) -> Result<Answer, Lost>;
    /// Checks that the state, once it is stable, contains what was `acknowledged`.
    fn check(&self, server: &Ootheca, acknowledged: Option<&Answer>);
    /// The audit action and the name that identify the entry; `None` if the change is not a request.
    fn entry(&self) -> Option<(&'static str, String)>;
    /// The idle time in seconds after which clusters are suspended, in the run that is killed and in the
    /// other runs.
    fn idle_seconds(&self) -> (&'static str, &'static str) {
        (NEVER, NEVER)
    }
    /// Adds the settings that the change needs.
    fn launch(&self, launch: ServerBuilder) -> ServerBuilder {
        launch
    }
}

fn run(what: &str, spares: usize, flow: impl Flow) {
    run_points(what, spares, flow, 1..=ENOUGH);
}

/// Kills the server after some of the side effects only, so that several tests can share a long flow.
fn run_points(what: &str, spares: usize, flow: impl Flow, points: impl Iterator<Item = usize>) {
    kill_at(what, spares, flow, points.map(|point| point.to_string()));
}

/// Kills the server after each of these side effects in turn, and finally not at all.
fn run_effects(what: &str, flow: impl Flow, effects: &[&str]) {
    let points = effects.iter().copied().chain([NO_EFFECT]).map(str::to_owned);
    assert_eq!(kill_at(what, 0, flow, points), effects, "{what}");
}

/// Kills the server at the points, which are numbers or names of side effects, until it is not killed. Returns the
/// names of the side effects after which it was killed.
fn kill_at(
    what: &str,
    spares: usize,
    mut flow: impl Flow,
    points: impl Iterator<Item = String>,
) -> Vec<String> {
    let (idle, idle_else) = flow.idle_seconds();
    let launch = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).pool(spares).env(IDLE, idle_else);
    let mut server = flow.launch(launch).boot();
    for (kills, point) in points.enumerate() {
        flow.prepare(&server);
        calm(&server, spares);
        server.kill();
        server.relaunch(|launch| launch.env(VARIABLE, &point).env(IDLE, idle));
        // The server can be killed before the request: starting it has side effects too.
        let started = server.try_start().is_ok();
        let answer = if started { flow.act(&server).ok() } else { None };
        let acknowledged = answer.as_ref().filter(|answer| answer.status == 200);
        let survived = started && survives(&mut server, spares);
        assert!(!survived || acknowledged.is_some(), "{what}: neither killed nor done");
        server.relaunch(|launch| launch.without_env(VARIABLE).env(IDLE, idle_else));
        server.start();
        calm(&server, spares);
        flow.check(&server, acknowledged);
        audited(&server, &flow, acknowledged);
        if survived {
            let log = server.log();
            let killed: Vec<String> =
                log.lines().filter_map(|line| Some(line.split_once(SAID)?.1.to_owned())).collect();
            assert_eq!(killed.len(), kills, "every kill logs its side effect");
            println!("crash: {what}: {kills} kill points tried: {}", killed.join(", "));
            return killed;
        }
    }
    panic!("{what}: more than {ENOUGH} effects");
}

/// Waits until the server is killed or idle, then stops it. Returns whether it survived.
///
/// An idle server still has side effects: it renews its lease and records usage. The exit status decides,
/// because a clean stop waits for the work in progress, and no side effect can follow it.
fn survives(server: &mut Ootheca, spares: usize) -> bool {
    eventually("the server is killed or idle", || {
        let rests = state(server).is_some_and(|state| state.is_calm(spares));
        (rests || !server.runs()).then_some(())
    });
    let status = server.stop();
    assert!(status.success() || status.signal() == Some(KILLED), "it ended with {status}");
    status.success()
}

/// The state on disk and in the store.
struct State {
    folders: BTreeSet<String>,
    trash: usize,
    /// The number of clusters that the reconciler still has work for.
    due: i64,
    rows: Vec<Value>,
    clusters: Vec<Value>,
    /// The clusters that have a LIVE node. A server that is shutting down still has a process.
    live: BTreeSet<String>,
}

fn names(server: &Ootheca, folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(server.data_dir().join("engine").join(folder)).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn state(server: &Ootheca) -> Option<State> {
    let list = server.request("GET", "/clusters").try_send().ok()?;
    let clusters = list.body["clusters"].as_array()?.clone();
    let mut live = BTreeSet::new();
    for cluster in clusters.iter().map(id) {
        let nodes = server.request("GET", &format!("/clusters/{cluster}/nodes")).try_send().ok()?;
        if nodes.body["nodes"].as_array()?.iter().any(|node| node["status"] == "LIVE") {
            live.insert(cluster);
        }
    }
    Some(State {
        folders: names(server, "instances"),
        trash: names(server, "trash").len(),
        due: due(server)?,
        rows: server.instances(),
        clusters,
        live,
    })
}

fn due(server: &Ootheca) -> Option<i64> {
    let path = server.data_dir().join("store.db");
    let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let count = "SELECT count(*) FROM entries WHERE kind = 'cluster' AND due_at IS NOT NULL";
    store.query_row(count, [], |row| row.get(0)).ok()
}

/// Whether a spare is complete and durable. Its server starts before that.
fn is_whole(row: &Value) -> bool {
    Path::new(row["data"].as_str().expect("a path")).with_file_name("spare-ready").exists()
}

impl State {
    /// What is incomplete. Nothing is if every active cluster is CREATED and has a server, which runs unless
    /// the cluster is suspended, all spares are ready, and nothing else is left.
    fn incomplete(&self, wanted: usize) -> Vec<String> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let instances: BTreeSet<String> = self.rows.iter().filter_map(|row| text(&row["instance"])).collect();
        let served: BTreeSet<String> = self.rows.iter().filter_map(|row| text(&row["cluster"])).collect();
        let active: BTreeSet<String> =
            self.clusters.iter().filter_map(|cluster| text(&cluster["id"])).collect();
        let suspended: BTreeSet<String> = self
            .clusters
            .iter()
            .filter(|cluster| cluster["ootheca"]["suspended"] == true)
            .filter_map(|cluster| text(&cluster["id"]))
            .collect();
        let running: BTreeSet<String> = active.difference(&suspended).cloned().collect();
        let sleeps = |row: &Value| text(&row["cluster"]).is_some_and(|cluster| suspended.contains(&cluster));
        let spares = self.rows.iter().filter(|row| row["cluster"].is_null() && is_whole(row)).count();
        let settled =
            |cluster: &Value| cluster["state"] == "CREATED" && cluster["operation_status"] == "UNSPECIFIED";
        let unsettled: Vec<&Value> = self.clusters.iter().filter(|cluster| !settled(cluster)).collect();
        let conditions = [
            (self.trash == 0, format!("{} instances in the trash", self.trash)),
            (self.due == 0, format!("{} clusters are due", self.due)),
            (spares == wanted, format!("{spares} of {wanted} spares")),
            (instances == self.folders, format!("instances {instances:?}, folders {:?}", self.folders)),
            (served == active, format!("served {served:?}, active {active:?}")),
            (self.rows.len() == served.len() + spares, format!("rows {:?}", self.rows)),
            (self.rows.iter().all(|row| row["pid"].is_u64() != sleeps(row)), format!("pids {:?}", self.rows)),
            (self.live == running, format!("live {:?}, running {running:?}", self.live)),
            (unsettled.is_empty(), format!("not settled: {unsettled:?}")),
        ];
        conditions.into_iter().filter_map(|(holds, why)| (!holds).then_some(why)).collect()
    }

    fn is_calm(&self, wanted: usize) -> bool {
        self.incomplete(wanted).is_empty()
    }
}

/// Waits until the state is stable, and every process serves a cluster or a spare.
fn calm(server: &Ootheca, spares: usize) {
    let mut last = Vec::new();
    let rows = eventually("nothing incomplete is left", || {
        let state = state(server).expect("it answers");
        let incomplete = state.incomplete(spares);
        if !incomplete.is_empty() && incomplete != last {
            println!("crash: incomplete: {}", incomplete.join("; "));
            last = incomplete;
            return None;
        }
        incomplete.is_empty().then_some(state.rows)
    });
    let mut known: BTreeSet<u32> =
        rows.iter().filter_map(|row| u32::try_from(row["pid"].as_u64()?).ok()).collect();
    known.insert(server.pid());
    eventually("every process belongs to an instance", || {
        let processes = processes::within(&server.data_dir());
        let orphan =
            |process: &&processes::Process| !known.contains(&process.pid) && !known.contains(&process.parent);
        processes.iter().find(orphan).is_none().then_some(())
    });
}

/// Checks that the log contains an acknowledged change once, and any other change at most once.
fn audited(server: &Ootheca, flow: &impl Flow, acknowledged: Option<&Answer>) {
    let Some((action, name)) = flow.entry() else { return };
    let log = audit_log(server);
    let ours: Vec<&Value> = log
        .iter()
        .filter(|entry| entry["action"].as_str().is_some_and(|found| found.ends_with(action)))
        .filter(|entry| entry["payload"].as_str().is_some_and(|payload| payload.contains(&name)))
        .collect();
    match acknowledged {
        Some(answer) => {
            assert_eq!(ours.len(), 1, "{answer}: {ours:#?}");
            assert!(ours[0].get("error").is_none_or(Value::is_null), "{ours:#?}");
            assert_eq!(ours[0]["trace_id"].as_str(), answer.header("cc-trace-id"));
        }
        None => assert!(ours.len() <= 1, "{ours:#?}"),
    }
}

/// Whether the cluster is suspended. Calling this does not resume it.
fn suspended(server: &Ootheca, cluster: &str) -> Result<bool, Lost> {
    let answer = server.request("GET", &format!("/clusters/{cluster}")).try_send()?;
    Ok(answer.ok()["ootheca"]["suspended"] == true)
}

/// Deletes every cluster, so that the next run starts with few.
fn clear(server: &Ootheca) {
    for cluster in server.get("/clusters").ok()["clusters"].as_array().expect("a list") {
        server.delete(&format!("/clusters/{}", id(cluster))).ok();
    }
}
