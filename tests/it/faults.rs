//! Faults around the gateway: killed servers, slow and hostile clients, and many clients at once. Nothing
//! leaks or hangs, and other clients are not affected.

use crate::support::{PASSWORD, PROGRAM, id, sql_user};
use ootheca_testkit::{Engine, Ootheca, ServerBuilder, eventually, processes, wire::Wire};
use serde_json::Value;
use std::{
    fs,
    io::{Read as _, Write as _},
    net::Shutdown,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

const STORM: usize = 200;
/// The clients that log in while a server is killed.
const LOGIN_STORM: usize = 16;
const IDLE: usize = 5000;
/// The sessions that the server itself keeps open in a cluster for a while: for metering, and for logins.
const CONTROL_SESSIONS: usize = 2;

fn launch() -> ServerBuilder {
    ServerBuilder::new(PROGRAM).engine(Engine::Postgres)
}

fn cluster(server: &Ootheca, name: &str, plan: &str) -> Value {
    let cluster = server.create_cluster(name, plan);
    sql_user(server, &id(&cluster), "keeper");
    cluster
}

fn wire(server: &Ootheca, cluster: &Value) -> Wire {
    let routing =
        cluster.pointer("/config/serverless/routing_id").and_then(Value::as_str).expect("a routing ID");
    let wire = Wire::new(server.sql_address(), &server.authority()).with("user", "keeper").password(PASSWORD);
    wire.with("database", "defaultdb").with("options", &format!("--cluster={routing}"))
}

/// The number of open sockets of the server. Its files are not counted: under load, the store opens more
/// connections for reads and keeps them.
fn sockets(server: &Ootheca) -> usize {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("its descriptors").flatten();
    let targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

#[test]
fn a_killed_server_process_ends_its_own_sessions_only() {
    let server = launch().boot();
    let (one, other) =
        (cluster(&server, "killed-one", "STANDARD"), cluster(&server, "other-one", "STANDARD"));
    let mut victim = wire(&server, &one).connect().expect("a connection").expect("a session");
    let mut neighbour = wire(&server, &other).connect().expect("a connection").expect("a session");
    victim.query("CREATE TABLE kept AS SELECT 1 AS n").expect("an answer");
    victim.query("BEGIN; INSERT INTO kept VALUES (2)").expect("an answer");
    let pid = victim.value("SELECT pg_backend_pid()").expect("a row").parse().expect("a number");
    processes::kill(pid);
    assert!(victim.query("COMMIT").is_err(), "the session ended");
    assert_eq!(neighbour.value("SELECT 1").as_deref(), Some("1"));
    // The server recovers by itself. Committed data is kept, and uncommitted data is not.
    let count = eventually("the cluster is available again", || {
        wire(&server, &one).connect().ok()?.ok()?.value("SELECT count(*) FROM kept")
    });
    assert_eq!(count, "1");
}

#[test]
fn a_killed_server_is_started_again() {
    let server = launch().boot();
    let one = cluster(&server, "killed-all", "STANDARD");
    let mut victim = wire(&server, &one).connect().expect("a connection").expect("a session");
    processes::kill(server.postmaster(&id(&one)));
    // A process of a dead server responds until it notices that the server is gone.
    eventually("the session ends", || victim.query("SELECT 1").is_err().then_some(()));
    let answer = eventually("the cluster is available again", || {
        wire(&server, &one).connect().ok()?.ok()?.value("SELECT 1")
    });
    assert_eq!(answer, "1");
}

#[test]
fn logins_wait_while_the_server_recovers() {
    let server = launch().boot();
    let one = cluster(&server, "recovering", "STANDARD");
    let wire = wire(&server, &one);
    let mut victim = wire.connect().expect("a connection").expect("a session");
    // The write-ahead log that recovery has to read.
    victim.query("CREATE TABLE filled AS SELECT n FROM generate_series(1, 1000000) n").expect("a result");
    let pid = victim.value("SELECT pg_backend_pid()").expect("a row").parse().expect("a number");
    processes::kill(pid);
    eventually("the session ends", || victim.query("SELECT 1").is_err().then_some(()));
    let count = eventually("a login succeeds", || match wire.connect().ok()? {
        Ok(mut session) => session.value("SELECT count(*) FROM filled"),
        Err(refusal) => {
            assert_ne!(refusal.field(b'C'), "57P03", "{refusal:?}");
            None
        }
    });
    assert_eq!(count, "1000000");
}

#[test]
fn logins_wait_while_a_killed_server_is_started_again() {
    let server = launch().boot();
    let one = cluster(&server, "killed-in-storm", "STANDARD");
    let cluster_id = id(&one);
    let wire = wire(&server, &one);
    let mut session = wire.connect().expect("a connection").expect("a session");
    session.query("CREATE TABLE filled AS SELECT n FROM generate_series(1, 200000) n").expect("a result");
    drop(session);
    let postmaster = server.postmaster(&cluster_id);
    let (logins, killed) = (AtomicUsize::new(0), AtomicBool::new(false));
    // Logs in until a login begins after the server was killed. Returns how long that one took.
    let client = || loop {
        let (is_killed, begun) = (killed.load(SeqCst), Instant::now());
        let mut session = wire.connect().expect("a connection").expect("a session");
        logins.fetch_add(1, SeqCst);
        // A process of the dead server can respond until it notices that the server is gone.
        if is_killed && session.value("SELECT count(*) FROM filled").as_deref() == Some("200000") {
            break begun.elapsed();
        }
    };
    let longest = thread::scope(|scope| {
        let clients: Vec<_> = (0..LOGIN_STORM).map(|_| scope.spawn(client)).collect();
        eventually("the storm has begun", || {
            let ended = clients.iter().any(|client| client.is_finished());
            (ended || logins.load(SeqCst) >= 2 * LOGIN_STORM).then_some(())
        });
        processes::kill(postmaster);
        killed.store(true, SeqCst);
        clients.into_iter().map(|client| client.join().expect("every login succeeds")).max()
    });
    println!("faults: logins waited up to {longest:?}");
    assert_ne!(server.postmaster(&cluster_id), postmaster);
}

/// The status of the cluster's only node.
fn node_status(server: &Ootheca, cluster: &str) -> Option<String> {
    let nodes = server.get(&format!("/clusters/{cluster}/nodes")).ok()["nodes"].clone();
    nodes[0]["status"].as_str().map(str::to_owned)
}

#[test]
fn a_hung_server_is_detected_and_started_again() {
    let server = launch().boot();
    let one = cluster(&server, "hung-server", "STANDARD");
    let cluster_id = id(&one);
    let mut session = wire(&server, &one).connect().expect("a connection").expect("a session");
    session.query("CREATE TABLE kept AS SELECT 1 AS n").expect("a result");
    assert_eq!(node_status(&server, &cluster_id).as_deref(), Some("LIVE"));
    let postmaster = server.postmaster(&cluster_id);
    let instances = server.data_dir().join("engine/instances");
    let mut hung = processes::within(&instances);
    hung.retain(|process| process.pid == postmaster || process.parent == postmaster);
    hung.iter().for_each(|process| processes::pause(process.pid));
    let paused = Instant::now();
    thread::scope(|scope| {
        // The call waits for the server, and is served by the next one or refused at its deadline.
        let call = scope.spawn(|| server.get(&format!("/clusters/{cluster_id}/databases")));
        eventually("the node is not ready", || {
            (node_status(&server, &cluster_id)? == "NOT_READY").then_some(())
        });
        let detected = paused.elapsed();
        println!("faults: hung server detected after {detected:?}");
        eventually("a condition says so", || {
            let cluster = server.get(&format!("/clusters/{cluster_id}"));
            let conditions = cluster.ok()["ootheca"]["conditions"].as_array()?.clone();
            conditions.iter().any(|condition| condition["kind"] == "NotResponding").then_some(())
        });
        let answer = call.join().expect("a response");
        assert!(matches!(answer.status, 200 | 503), "{answer}");
        assert!(paused.elapsed() < Duration::from_secs(30), "{:?}", paused.elapsed());
    });
    let count = eventually("the cluster is available again", || {
        wire(&server, &one).connect().ok()?.ok()?.value("SELECT count(*) FROM kept")
    });
    assert_eq!(count, "1");
    assert_ne!(server.postmaster(&cluster_id), postmaster);
    assert!(
        hung.iter().all(|process| !processes::alive(process.pid)),
        "processes of the hung server are left"
    );
    eventually("the node is live", || (node_status(&server, &cluster_id)? == "LIVE").then_some(()));
}

#[test]
fn a_busy_server_is_not_considered_hung() {
    let server = launch().boot();
    let one = cluster(&server, "busy-server", "STANDARD");
    let postmaster = server.postmaster(&id(&one));
    let wire = wire(&server, &one);
    let mut watcher = wire.connect().expect("a connection").expect("a session");
    let busy: Vec<_> = (0..8)
        .map(|_| {
            let wire = wire.clone();
            thread::spawn(move || {
                let mut session = wire.connect().expect("a connection").expect("a session");
                // Longer than it takes to detect a hung server.
                let work =
                    "DO $$ BEGIN WHILE clock_timestamp() < now() + interval '8 s' LOOP END LOOP; END $$";
                session.query(work).expect("a result");
            })
        })
        .collect();
    busy.into_iter().for_each(|session| session.join().expect("a client"));
    assert_eq!(watcher.value("SELECT 1").as_deref(), Some("1"));
    assert_eq!(server.postmaster(&id(&one)), postmaster);
}

#[test]
fn slow_and_half_open_clients_are_disconnected() {
    let server = launch().env("OOTHECA_GATEWAY__HANDSHAKE_SECONDS", "1").boot();
    let one = cluster(&server, "slow-loris", "STANDARD");
    let wire = wire(&server, &one);
    let before = sockets(&server);
    // Clients that send one byte, an incomplete startup message, or an incomplete TLS handshake.
    let mut slow: Vec<_> = (0..60).map(|_| wire.tcp().expect("a connection")).collect();
    let beginnings: [&[u8]; 3] = [&[0], &[0, 0, 0, 200, 0, 3], &[22, 3, 1, 2, 0]];
    for (n, stream) in slow.iter_mut().enumerate() {
        stream.write_all(beginnings[n % 3]).expect("sent");
    }
    // On a busy machine, the handshake of this client can exceed the limit too.
    let mut session = eventually("another client can connect", || wire.connect().ok()?.ok());
    assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
    for stream in &mut slow {
        let mut rest = Vec::new();
        // The server closes the connection with an end of file or a reset.
        let _ = stream.read_to_end(&mut rest);
    }
    // A client that closes its side without a Terminate message.
    let pid = session.value("SELECT pg_backend_pid()").expect("a row").parse().expect("a number");
    session.socket().shutdown(Shutdown::Write).expect("half closed");
    eventually("its server process has ended", || (!processes::alive(pid)).then_some(()));
    drop((slow, session));
    eventually("all sockets are closed", || (sockets(&server) <= before + CONTROL_SESSIONS).then_some(()));
}

#[test]
fn thousands_of_idle_connections_do_not_affect_others() {
    processes::raise_descriptors();
    let most = (IDLE + 100).to_string();
    let server = launch()
        .env("OOTHECA_GATEWAY__HANDSHAKE_SECONDS", "600")
        .env("OOTHECA_GATEWAY__MAX_UNAUTHENTICATED_CONNECTIONS", &most)
        .env("OOTHECA_GATEWAY__MAX_UNAUTHENTICATED_CONNECTIONS_PER_ADDRESS", &most)
        .boot();
    let one = cluster(&server, "idle-crowd", "STANDARD");
    let wire = wire(&server, &one);
    let before = (sockets(&server), resident_kib(server.pid()));
    let crowd: Vec<_> = (0..IDLE).map(|_| wire.tls().expect("TLS")).collect();
    let mut session = wire.connect().expect("a connection").expect("a session");
    assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
    assert!(sockets(&server) >= IDLE);
    let each = (resident_kib(server.pid()).saturating_sub(before.1)) / IDLE;
    println!("faults: {IDLE} idle connections, {each} KiB each");
    assert!(each <= 64, "{each} KiB for each idle connection");
    drop(crowd);
    // The session has two sockets.
    let expected = before.0 + 2 + CONTROL_SESSIONS;
    eventually("all sockets are closed", || (sockets(&server) <= expected).then_some(()));
    assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
}

#[test]
fn many_connections_resume_a_suspended_cluster_once() {
    let server = launch()
        .env("OOTHECA_SCALE_TO_ZERO__IDLE_SECONDS", "1")
        .env("OOTHECA_GATEWAY__HANDSHAKE_SECONDS", "600")
        .env("OOTHECA_ENGINE__MAX_CONNECTIONS", &(STORM + 20).to_string())
        .boot();
    let asleep = cluster(&server, "storm-target", "BASIC");
    let neighbour = cluster(&server, "awake-next", "STANDARD");
    let mut held = wire(&server, &neighbour).connect().expect("a connection").expect("a session");
    let cluster_id = id(&asleep);
    let suspended = || {
        server
            .instances()
            .iter()
            .all(|row| row["cluster"] != *cluster_id || row["pid"].is_null())
            .then_some(())
    };
    eventually("the cluster is suspended", suspended);
    let starts = starts(&server, &cluster_id);
    let wire = wire(&server, &asleep);
    // Every session stays open until all are served. Otherwise the cluster could be suspended in between.
    let all = Barrier::new(STORM);
    let answers: Vec<Option<String>> = thread::scope(|scope| {
        let clients: Vec<_> = (0..STORM)
            .map(|_| {
                scope.spawn(|| {
                    let mut session = wire.connect();
                    let answer = match &mut session {
                        Ok(Ok(session)) => session.value("SELECT 1"),
                        Ok(Err(refusal)) => Some(format!("{refusal:?}")),
                        Err(error) => Some(error.to_string()),
                    };
                    all.wait();
                    answer
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("a client")).collect()
    });
    let bad: Vec<_> = answers.iter().filter(|answer| answer.as_deref() != Some("1")).collect();
    assert!(bad.is_empty(), "{} of {STORM} were not served: {:?}", bad.len(), bad[0]);
    assert_eq!(self::starts(&server, &cluster_id), starts + 1, "it was started once");
    // The session of another client survived while the cluster was suspended and resumed.
    assert_eq!(held.value("SELECT 1").as_deref(), Some("1"));
    eventually("it is suspended again", suspended);
    assert_eq!(held.value("SELECT 1").as_deref(), Some("1"));
}

/// The number of times that the server of a cluster was started.
fn starts(server: &Ootheca, cluster: &str) -> usize {
    let rows = server.instances();
    let row = rows.iter().find(|row| row["cluster"] == cluster).expect("its instance");
    let folder = server.data_dir().join("engine/instances").join(row["instance"].as_str().expect("a name"));
    let log = fs::read_to_string(folder.join("log")).expect("its log");
    log.lines().filter(|line| line.contains("database system is ready to accept connections")).count()
}

fn resident_kib(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number")
}
