//! A new process takes over from a running one while clients keep connecting.

use crate::support::{PASSWORD, PROGRAM, id, real, simulated, sql_user};
use ootheca_testkit::{Client, Engine, Ootheca, ServerBuilder, eventually};
use std::{
    net::{SocketAddr, TcpStream},
    os::unix::process::ExitStatusExt as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{Scope, scope},
};

fn furnish(server: &Ootheca) -> (String, String) {
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    sql_user(server, &cluster, "keeper");
    let string = server.connection_string(&cluster, "keeper");
    (cluster, string)
}

/// Ends the clients when it is dropped, also if the test fails.
struct Enough(Arc<AtomicBool>);

impl Drop for Enough {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Clients that connect again and again. Any error fails the test.
#[derive(Default)]
struct Visitors {
    enough: Arc<AtomicBool>,
    rounds: Arc<[AtomicUsize; 3]>,
}

impl Visitors {
    fn begin<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        api: Client,
        sql: SocketAddr,
        query: impl Fn() + Send + 'scope,
    ) -> Enough {
        let ends = Enough(self.enough.clone());
        let visits: [Box<dyn Fn() + Send>; 3] = [
            Box::new(move || assert_eq!(api.anonymous().raw("GET", "/healthz").send().status, 200)),
            Box::new(move || drop(TcpStream::connect(sql).expect("it listens"))),
            Box::new(query),
        ];
        for (number, visit) in visits.into_iter().enumerate() {
            let (enough, rounds) = (self.enough.clone(), self.rounds.clone());
            scope.spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    visit();
                    rounds[number].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        self.more();
        ends
    }

    /// Waits until each client has connected a few more times.
    fn more(&self) {
        let seen = || self.rounds.each_ref().map(|rounds| rounds.load(Ordering::Relaxed));
        let before = seen();
        eventually("the clients connect", || {
            seen().iter().zip(before).all(|(now, before)| *now >= before + 3).then_some(())
        });
    }
}

#[test]
fn no_connection_is_refused_while_a_server_takes_over() {
    let mut server = real();
    let (cluster, string) = furnish(&server);
    let (pid, sql) = (server.postmaster(&cluster), server.sql_address());
    let mut busy = server.session(&cluster, "keeper", PASSWORD);
    busy.run("BEGIN; CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)").expect("a transaction");
    let mut idle = server.session(&cluster, "keeper", PASSWORD);
    idle.run("SELECT 1").expect("a session");
    let (visitors, api) = (Visitors::default(), server.client().clone());
    let psql = server.psql_later(&string, PASSWORD);
    scope(|scope| {
        let _ends = visitors.begin(scope, api, sql, move || assert_eq!(psql("SELECT 1").ok(), "1"));
        let before = server.take_over();
        visitors.more();
        eventually("the idle session ends", || idle.run("SELECT 1").err());
        assert_eq!(busy.run("SELECT n FROM kept").as_deref(), Ok("7"), "in its transaction it goes on");
        busy.run("COMMIT").expect("the end of the transaction");
        eventually("the session ends after its transaction", || busy.run("SELECT 1").err());
        before.ended();
        visitors.more();
    });
    assert_eq!(server.sql_address(), sql);
    assert_eq!(server.postmaster(&cluster), pid, "its SQL server was adopted");
    assert_eq!(server.psql_at(&string, PASSWORD, "SELECT n FROM kept").ok(), "7");
    server.delete(&format!("/clusters/{cluster}")).ok();
    server.psql_at(&string, PASSWORD, "SELECT 1").fails("not found");
}

#[test]
fn a_successor_that_fails_changes_nothing() {
    let mut server = real();
    let (cluster, string) = furnish(&server);
    let pid = server.pid();
    // It fails after the running server has yielded, because its store is not reachable.
    let nowhere = ["--store", "postgres://nobody@127.0.0.1:1/nothing"];
    let said = server.try_take_over(&nowhere).err().expect("it fails");
    assert!(said.contains("store"), "{said}");
    eventually("the server is back", || {
        let ready = server.client().raw("GET", "/readyz").try_send();
        ready.is_ok_and(|answer| answer.status == 200).then_some(())
    });
    assert!(server.runs() && server.pid() == pid, "it is the same process");
    assert_eq!(server.psql_at(&string, PASSWORD, "SELECT 1").ok(), "1");
    server.delete(&format!("/clusters/{cluster}")).ok();
    server.take_over().ended();
}

#[test]
fn a_takeover_without_a_running_server_starts_normally() {
    let mut server = ServerBuilder::new(PROGRAM).arg("--take-over").boot();
    server.restart();
    server.kill();
    server.start();
    assert_eq!(server.get("/clusters").status, 200);
}

#[test]
fn no_connection_is_refused_while_a_gateway_takes_over() {
    let server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).arg("--no-gateway").boot();
    let mut gateway = server.gateway(&[]);
    let (cluster, string) = furnish(&server);
    let sql = gateway.address();
    let mut idle = server.session(&cluster, "keeper", PASSWORD);
    idle.run("SELECT 1").expect("a session");
    let (visitors, api) = (Visitors::default(), server.client().clone());
    let psql = server.psql_later(&string, PASSWORD);
    scope(|scope| {
        let _ends = visitors.begin(scope, api, sql, move || assert_eq!(psql("SELECT 1").ok(), "1"));
        gateway.take_over();
        visitors.more();
    });
    assert_eq!(gateway.address(), sql);
    eventually("the idle session ended", || idle.run("SELECT 1").err());
    gateway.terminate();
}

#[test]
fn a_separate_gateway_connects_to_the_successor() {
    let mut server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).arg("--no-gateway").boot();
    let gateway = server.gateway(&[]);
    let (cluster, string) = furnish(&server);
    let mut session = server.session(&cluster, "keeper", PASSWORD);
    session.run("SELECT 1").expect("a session");
    server.take_over().ended();
    assert_eq!(session.run("SELECT 2").as_deref(), Ok("2"), "the gateway was not restarted");
    assert_eq!(server.psql_at(&string, PASSWORD, "SELECT 3").ok(), "3");
    server.delete(&format!("/clusters/{cluster}")).ok();
    eventually("changes of the new server arrive", || session.run("SELECT 1").err());
    gateway.terminate();
}

/// Makes a process kill itself after a side effect.
const VARIABLE: &str = "OOTHECA_CRASH_AFTER_EFFECT";
/// The stages of a takeover, as the previous process names them.
const STAGES: [&str; 5] = [
    "sockets given to the successor",
    "stopped accepting for a successor",
    "everything released for the successor",
    "successor told to start",
    "successor ready",
];

#[test]
fn a_successor_starts_even_if_the_previous_server_dies_during_the_takeover() {
    let mut server = simulated();
    let cluster = server.create_cluster("some-cluster", "STANDARD");
    for (n, stage) in STAGES.into_iter().chain(["requests ended for a successor"]).enumerate() {
        server.relaunch(|launch| launch.env(VARIABLE, stage));
        server.restart();
        let address = server.client().address().to_owned();
        server.relaunch(|launch| launch.without_env(VARIABLE));
        let before = server.take_over();
        assert_eq!(before.status().signal(), Some(9), "{stage}");
        assert_eq!(server.client().address(), address, "{stage}: the sockets are used");
        assert_eq!(server.get(&format!("/clusters/{}", id(&cluster))).ok()["name"], "some-cluster");
        server.create_cluster(&format!("cluster-{n}"), "BASIC");
    }
}

#[test]
fn a_successor_adopts_the_sql_servers_of_a_server_that_dies_during_the_takeover() {
    let mut server = ServerBuilder::new(PROGRAM)
        .engine(Engine::Postgres)
        .env(VARIABLE, "stopped accepting for a successor")
        .boot();
    let (cluster, string) = furnish(&server);
    let pid = server.postmaster(&cluster);
    server.relaunch(|launch| launch.without_env(VARIABLE));
    assert_eq!(server.take_over().status().signal(), Some(9));
    assert_eq!(server.psql_at(&string, PASSWORD, "SELECT 1").ok(), "1");
    assert_eq!(server.postmaster(&cluster), pid, "its SQL server was adopted");
}

#[test]
fn a_successor_starts_even_if_the_previous_gateway_dies_during_the_takeover() {
    let server = ServerBuilder::new(PROGRAM).arg("--no-gateway").boot();
    for stage in STAGES {
        let mut gateway = server.gateway_with(&[], &[(VARIABLE, stage)]);
        let address = gateway.address();
        assert_eq!(gateway.take_over_from().signal(), Some(9), "{stage}");
        assert_eq!(gateway.address(), address, "{stage}: the socket is used");
        drop(TcpStream::connect(address).expect("it listens"));
        gateway.terminate();
    }
}
