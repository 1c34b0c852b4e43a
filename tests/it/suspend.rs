//! Scale to zero: BASIC clusters that are not used have no server, and this is not visible to users.
//!
//! The tests advance the test clock. With a real idle time of a second, a busy machine could suspend a
//! cluster between any two lines of a test.

use crate::support::{PASSWORD, PROGRAM, advance, audit_log, column, id, sql_user};
use ootheca_testkit::{Engine, Ootheca, ServerBuilder, eventually, processes};
use serde_json::{Value, json};
use std::{fs, thread};

const IDLE: &str = "OOTHECA_SCALE_TO_ZERO__IDLE_SECONDS";

/// The idle time after which a cluster is suspended, in seconds.
const MOMENT: i64 = 300;

fn launch(engine: Engine) -> ServerBuilder {
    ServerBuilder::new(PROGRAM).engine(engine).arg("--test-clock").env(IDLE, &MOMENT.to_string())
}

fn boot(engine: Engine) -> Ootheca {
    launch(engine).boot()
}

/// Whether the cluster has no node. Reading this does not resume it.
fn asleep(server: &Ootheca, cluster: &str) -> bool {
    server.get(&format!("/clusters/{cluster}/nodes")).ok()["nodes"].as_array().expect("nodes").is_empty()
}

/// Advances the clock until the cluster is suspended, repeatedly if a use is recorded after that.
#[track_caller]
fn until_asleep(server: &Ootheca, cluster: &str) {
    eventually("it is suspended", || {
        advance(server, MOMENT);
        asleep(server, cluster).then_some(())
    });
}

/// The power in the last plan of the simulated engine.
fn simulated_power(server: &Ootheca, cluster: &str) -> String {
    let path = server.data_dir().join(format!("simulated/{cluster}.json"));
    let document: Value = serde_json::from_slice(&fs::read(path).expect("its file")).expect("JSON");
    document["plan"]["power"].as_str().unwrap_or_default().to_owned()
}

fn resumes(server: &Ootheca) -> usize {
    server.log().matches("cluster resumed").count()
}

/// Everything that the API shows of a cluster, except its nodes and our extensions.
fn shown(server: &Ootheca, cluster: &str) -> [Value; 3] {
    ["", "/sql-users", "/databases"].map(|what| {
        let mut answer = server.get(&format!("/clusters/{cluster}{what}")).ok().clone();
        answer.as_object_mut().expect("an object").remove("ootheca");
        answer
    })
}

#[test]
fn reads_do_not_resume_a_suspended_cluster() {
    let server = boot(Engine::Simulated);
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    let at = format!("/clusters/{cluster}");
    sql_user(&server, &cluster, "keeper");
    server.post(&format!("{at}/databases"), json!({ "name": "app" })).ok();
    let before = shown(&server, &cluster);
    assert_eq!(before[0]["state"], "CREATED");
    assert_eq!(column(&before[2]["databases"], "name"), ["app", "defaultdb"]);
    eventually("reading does not prevent suspension", || {
        server.get(&format!("{at}/databases")).ok();
        server.get(&format!("{at}/sql-users")).ok();
        advance(&server, MOMENT / 10);
        asleep(&server, &cluster).then_some(())
    });
    eventually("the engine has received the plan", || {
        (simulated_power(&server, &cluster) == "off").then_some(())
    });
    let entries = audit_log(&server).len();
    assert_eq!(shown(&server, &cluster), before, "the API shows the same");
    assert_eq!(server.get(&at).ok()["ootheca"]["suspended"], true, "the extension shows the suspension");
    let page = server.get(&format!("{at}/databases?pagination.limit=1"));
    assert_eq!(column(&page.ok()["databases"], "name"), ["app"], "pagination works");
    server.get(&format!("{at}/connection-string?sql_user=keeper")).ok();
    assert!(asleep(&server, &cluster) && resumes(&server) == 0, "still suspended");
    assert_eq!(audit_log(&server).len(), entries, "the suspension is not an update of the cluster");
}

#[test]
fn writes_to_a_suspended_cluster_resume_it() {
    let server = boot(Engine::Simulated);
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    let at = format!("/clusters/{cluster}");
    let wakes = |what: &str, act: &dyn Fn()| {
        until_asleep(&server, &cluster);
        let before = resumes(&server);
        act();
        assert!(!asleep(&server, &cluster), "{what}");
        assert_eq!(resumes(&server), before + 1, "{what}");
    };
    wakes("create a user", &|| sql_user(&server, &cluster, "keeper"));
    wakes("create a database", &|| {
        server.post(&format!("{at}/databases"), json!({ "name": "app" })).ok();
    });
    wakes("fail to rename a database", &|| {
        server.patch(&format!("{at}/databases/nothing"), json!({ "new_name": "other" })).refused(404);
    });
    until_asleep(&server, &cluster);
    let labels = json!({ "labels": { "a": "b" } });
    server.patch(&at, labels).ok();
    assert!(asleep(&server, &cluster), "a change that needs no server does not resume it");
    server.delete(&format!("{at}/sql-users/keeper")).ok();
    assert_eq!(server.get(&format!("{at}/sql-users")).ok()["users"], json!([]));
    until_asleep(&server, &cluster);
    assert_eq!(
        server.get(&format!("{at}/sql-users")).ok()["users"],
        json!([]),
        "the cached metadata is updated immediately"
    );
}

#[test]
fn concurrent_writes_resume_it_once() {
    let server = boot(Engine::Simulated);
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    until_asleep(&server, &cluster);
    thread::scope(|scope| {
        for n in 0..20 {
            let (server, cluster) = (&server, &cluster);
            scope.spawn(move || sql_user(server, cluster, &format!("user-{n}")));
        }
    });
    assert_eq!(resumes(&server), 1);
    let users = format!("/clusters/{cluster}/sql-users");
    let all = column(&server.get(&users).ok()["users"], "name");
    assert_eq!(all.len(), 20);
    until_asleep(&server, &cluster);
    assert_eq!(
        column(&server.get(&users).ok()["users"], "name"),
        all,
        "all users are in the cached metadata"
    );
}

#[test]
fn only_basic_clusters_are_suspended_and_another_plan_resumes_them() {
    let server = boot(Engine::Simulated);
    let basic = id(&server.create_cluster("a-basic", "BASIC"));
    let others = ["STANDARD", "ADVANCED"].map(|plan| {
        let name = format!("a-{}", plan.to_lowercase());
        id(&server.create_cluster(&name, plan))
    });
    until_asleep(&server, &basic);
    let limits = json!({ "provisioned_virtual_cpus": "2" });
    let patch = json!({ "plan": "STANDARD", "serverless": { "usage_limits": limits } });
    server.patch(&format!("/clusters/{basic}"), patch).ok();
    eventually("another plan resumes it", || (!asleep(&server, &basic)).then_some(()));
    let witness = id(&server.create_cluster("a-witness", "BASIC"));
    until_asleep(&server, &witness);
    for cluster in others.iter().chain([&basic]) {
        assert!(
            !asleep(&server, cluster),
            "idle for longer than the other cluster, and not suspended: {cluster}"
        );
        assert_eq!(simulated_power(&server, cluster), "on");
    }
    server.patch(&format!("/clusters/{basic}"), json!({ "plan": "BASIC" })).ok();
    until_asleep(&server, &basic);
}

#[test]
fn an_idle_time_of_zero_disables_suspension() {
    let mut server = launch(Engine::Simulated).env(IDLE, "0").boot();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    for _ in 0..20 {
        advance(&server, MOMENT);
        assert!(!asleep(&server, &cluster));
    }
    server.relaunch(|launch| launch.env(IDLE, &MOMENT.to_string()));
    server.restart();
    until_asleep(&server, &cluster);
    server.relaunch(|launch| launch.env(IDLE, "0"));
    server.restart();
    assert!(asleep(&server, &cluster), "a suspended cluster stays suspended until it is used");
    sql_user(&server, &cluster, "keeper");
    assert!(!asleep(&server, &cluster));
}

#[test]
fn a_suspended_cluster_survives_restarts_and_can_be_deleted() {
    let mut server = boot(Engine::Simulated);
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    sql_user(&server, &cluster, "keeper");
    until_asleep(&server, &cluster);
    let before = shown(&server, &cluster);
    server.restart();
    assert!(asleep(&server, &cluster), "no server is started for it");
    server.kill();
    server.start();
    assert_eq!(shown(&server, &cluster), before);
    assert!(asleep(&server, &cluster) && resumes(&server) == 0);
    server.delete(&format!("/clusters/{cluster}")).ok();
    let file = server.data_dir().join(format!("simulated/{cluster}.json"));
    eventually("nothing of the cluster is left", || (!file.exists()).then_some(()));
    server.get(&format!("/clusters/{cluster}/sql-users")).refused(404);
    assert_eq!(server.get(&format!("/clusters/{cluster}")).text("/state"), "DELETED");
}

#[test]
fn data_of_a_suspended_cluster_that_is_put_back_while_the_server_is_stopped_is_found() {
    let mut server = boot(Engine::Simulated);
    let cluster = id(&server.create_cluster("survivor", "BASIC"));
    sql_user(&server, &cluster, "keeper");
    until_asleep(&server, &cluster);
    let is_missing = |server: &Ootheca| {
        let answer = server.get(&format!("/clusters/{cluster}"));
        let conditions = answer.ok()["ootheca"]["conditions"].as_array().expect("conditions").clone();
        conditions.iter().any(|condition| condition["kind"] == "DataMissing")
    };
    let folder = server.data_dir().join("simulated");
    let (file, away) = (folder.join(format!("{cluster}.json")), server.data_dir().join("away.json"));
    server.terminate();
    fs::rename(&file, &away).expect("moved away");
    server.start();
    eventually("the data is missing", || is_missing(&server).then_some(()));
    server.terminate();
    fs::rename(&away, &file).expect("moved back");
    server.start();
    eventually("the data is found", || (!is_missing(&server)).then_some(()));
    assert!(asleep(&server, &cluster), "it was not resumed");
    server.delete(&format!("/clusters/{cluster}/sql-users/keeper")).ok();
}

/// Creates a suspended PostgreSQL cluster with a row in a table.
fn suspended() -> (Ootheca, String) {
    let server = boot(Engine::Postgres);
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    sql_user(&server, &cluster, "keeper");
    let create = "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)";
    server.psql(&cluster, "keeper", PASSWORD, create).ok();
    server.get(&format!("/clusters/{cluster}/databases")).ok();
    until_stopped(&server, &cluster);
    (server, cluster)
}

fn running(server: &Ootheca) -> usize {
    let postgres = |process: &processes::Process| process.pid != server.pid();
    processes::within(&server.data_dir()).into_iter().filter(postgres).count()
}

#[track_caller]
fn until_stopped(server: &Ootheca, cluster: &str) {
    until_asleep(server, cluster);
    eventually("no process is left", || (running(server) == 0).then_some(()));
}

#[test]
fn a_client_resumes_it_and_finds_all_data() {
    let (mut server, cluster) = suspended();
    let databases = server.get(&format!("/clusters/{cluster}/databases"));
    assert_eq!(databases.ok()["databases"], json!([{ "name": "defaultdb", "table_count": "1" }]));
    server.restart();
    assert!(asleep(&server, &cluster) && running(&server) == 0, "no server is started for it");
    assert_eq!(server.psql(&cluster, "keeper", PASSWORD, "SELECT n FROM kept").ok(), "7");
    assert!(!asleep(&server, &cluster));
    until_stopped(&server, &cluster);
    server.kill();
    server.start();
    assert!(asleep(&server, &cluster) && running(&server) == 0);
    sql_user(&server, &cluster, "second");
    assert_eq!(server.psql(&cluster, "second", PASSWORD, "SELECT n FROM kept").ok(), "7");
}

#[test]
fn only_a_valid_password_resumes_it() {
    let (server, cluster) = suspended();
    server.psql(&cluster, "keeper", "not the password", "SELECT 1").fails("password authentication failed");
    server.psql(&cluster, "nobody", PASSWORD, "SELECT 1").fails("authentication failed");
    assert!(asleep(&server, &cluster) && resumes(&server) == 0);
}

#[test]
fn concurrent_clients_resume_it_once() {
    let (server, cluster) = suspended();
    let string = server.connection_string(&cluster, "keeper");
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                assert_eq!(server.psql_at(&string, PASSWORD, "SELECT n FROM kept").ok(), "7");
            });
        }
    });
    assert_eq!(resumes(&server), 1);
}

#[test]
fn a_session_prevents_suspension() {
    let server = boot(Engine::Postgres);
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    sql_user(&server, &cluster, "keeper");
    let mut session = server.session(&cluster, "keeper", PASSWORD);
    session.run("CREATE TEMP TABLE mine (n int)").expect("a table of the session");
    let witness = id(&server.create_cluster("a-witness", "BASIC"));
    // Used after the session began.
    sql_user(&server, &witness, "keeper");
    until_stopped_beside(&server, &witness);
    assert!(!asleep(&server, &cluster), "open for longer than the other session");
    assert_eq!(session.run("SELECT count(*) FROM mine").as_deref(), Ok("0"), "its session goes on");
    assert_eq!(server.psql(&witness, "keeper", PASSWORD, "SELECT 1").ok(), "1");
    assert_eq!(session.run("SELECT count(*) FROM mine").as_deref(), Ok("0"), "a neighbour woke up");
    drop(session);
    until_asleep(&server, &cluster);
}

#[track_caller]
fn until_stopped_beside(server: &Ootheca, cluster: &str) {
    until_asleep(server, cluster);
    eventually("it has no process", || {
        let rows = server.instances();
        let row = rows.iter().find(|row| row["cluster"] == cluster);
        row.is_none_or(|row| row["pid"].is_null()).then_some(())
    });
}

#[test]
fn a_suspended_cluster_can_be_deleted() {
    let (server, cluster) = suspended();
    server.delete(&format!("/clusters/{cluster}")).ok();
    eventually("nothing of the cluster is left", || {
        let folders = fs::read_dir(server.data_dir().join("engine/instances")).expect("a folder").count();
        (folders == 0 && server.instances().is_empty()).then_some(())
    });
}

#[test]
fn the_default_idle_time_is_five_minutes() {
    let server = ServerBuilder::new(PROGRAM).arg("--test-clock").boot();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    advance(&server, 240);
    assert!(!asleep(&server, &cluster));
    advance(&server, 60);
    eventually("it is suspended", || asleep(&server, &cluster).then_some(()));
    sql_user(&server, &cluster, "keeper");
    assert!(!asleep(&server, &cluster));
    advance(&server, 240);
    assert!(!asleep(&server, &cluster), "since its last use");
    advance(&server, 60);
    eventually("it is suspended", || asleep(&server, &cluster).then_some(()));
}
