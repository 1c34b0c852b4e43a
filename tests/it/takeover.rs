//! A new process takes over from a running one while clients keep connecting.

use crate::support::{PASSWORD, PROGRAM, id, real, sql_user};
use ootheca_testkit::{Client, Engine, Ootheca, ServerBuilder, eventually};
use std::{
    net::{SocketAddr, TcpStream},
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
    ) {
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
        visitors.begin(scope, api, sql, move || assert_eq!(psql("SELECT 1").ok(), "1"));
        let before = server.take_over();
        visitors.more();
        eventually("the idle session ends", || idle.run("SELECT 1").err());
        assert_eq!(busy.run("SELECT n FROM kept").as_deref(), Ok("7"), "in its transaction it goes on");
        busy.run("COMMIT").expect("the end of the transaction");
        eventually("the session ends after its transaction", || busy.run("SELECT 1").err());
        before.ended();
        visitors.more();
        visitors.enough.store(true, Ordering::Relaxed);
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
        visitors.begin(scope, api, sql, move || assert_eq!(psql("SELECT 1").ok(), "1"));
        gateway.take_over();
        visitors.more();
        visitors.enough.store(true, Ordering::Relaxed);
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
