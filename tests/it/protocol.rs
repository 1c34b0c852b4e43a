//! The protocol with the real gateway, message by message: what drivers do not test.

use crate::support::{PASSWORD, PROGRAM, id, sql_user};
use ootheca_testkit::{
    Engine, Ootheca, ServerBuilder, eventually,
    wire::{Conversation, Message, Wire},
};
use serde_json::Value;
use std::io::{Read as _, Write as _};

const DOMAIN: &str = "db.example.test";

fn furnished() -> (Ootheca, Value) {
    let server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).env("OOTHECA_GATEWAY__DOMAIN", DOMAIN);
    // The handshake of one test does not continue.
    let server = server.env("OOTHECA_GATEWAY__HANDSHAKE_SECONDS", "5").boot();
    let cluster = server.create_cluster("wire-test", "STANDARD");
    sql_user(&server, &id(&cluster), "keeper");
    (server, cluster)
}

fn routing_id(cluster: &Value) -> String {
    cluster.pointer("/config/serverless/routing_id").and_then(Value::as_str).expect("a routing ID").to_owned()
}

/// A client that names the cluster in the TLS server name.
fn wire(server: &Ootheca, cluster: &Value) -> Wire {
    let wire = Wire::new(server.sql_address(), &server.authority());
    let name = format!("{}.{DOMAIN}", routing_id(cluster));
    wire.server_name(&name).with("user", "keeper").with("database", "defaultdb").password(PASSWORD)
}

#[track_caller]
fn session(wire: &Wire) -> Conversation {
    wire.connect().expect("a connection").unwrap_or_else(|refusal| panic!("refused: {refusal:?}"))
}

#[track_caller]
fn refusal(wire: &Wire) -> Message {
    match wire.connect().expect("a connection") {
        Ok(_) => panic!("let in"),
        Err(refusal) => refusal,
    }
}

fn tags(messages: &[Message]) -> String {
    messages.iter().map(|message| char::from(message.tag)).collect()
}

#[test]
fn only_tls_is_accepted() {
    let (server, cluster) = furnished();
    let wire = wire(&server, &cluster);
    // Without TLS, the error is readable for the client.
    let mut plain = wire.tcp().expect("a connection");
    plain.write_all(b"\0\0\0\x15\0\x03\0\0user\0keeper\0\0").expect("sent");
    let mut said = Vec::new();
    plain.read_to_end(&mut said).expect("a clean end");
    assert!(said.starts_with(b"E") && String::from_utf8_lossy(&said).contains("requires TLS"), "{said:?}");
    // GSSAPI is declined, and TLS can follow.
    let mut plain = wire.tcp().expect("a connection");
    plain.write_all(&[0, 0, 0, 8, 4, 210, 22, 48]).expect("sent");
    let mut answer = [0];
    plain.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"N");
    // Direct TLS, with and without the ALPN protocol name.
    let direct = wire.direct(&["postgresql"]).expect("TLS");
    assert_eq!(
        wire.login(direct).expect("a login").expect("a session").value("SELECT 1").as_deref(),
        Some("1")
    );
    let nameless = wire.direct(&[]).expect("TLS");
    let refusal = wire.login(nameless).expect("an answer").err().expect("refused");
    assert!(refusal.field(b'M').contains("ALPN"), "{refusal:?}");
}

#[test]
fn a_cluster_can_be_named_in_three_ways() {
    let (server, cluster) = furnished();
    let by_name = wire(&server, &cluster);
    let routing = routing_id(&cluster);
    let nameless = by_name.clone().server_name("localhost");
    session(&by_name);
    for option in
        [format!("--cluster={routing}"), format!("-c cluster={routing}"), format!("-ccluster={routing}")]
    {
        session(&nameless.clone().with("options", &option));
    }
    session(&nameless.clone().with("database", &format!("{routing}.defaultdb")));
    // The part of the options that names the cluster does not reach the server, and the rest does.
    let options = format!("--cluster={routing} -c geqo=off");
    let mut both = session(&nameless.clone().with("options", &options));
    assert_eq!(both.value("SHOW geqo").as_deref(), Some("off"));
    let missing = refusal(&nameless);
    assert_eq!(missing.field(b'C'), "08004");
    assert!(missing.field(b'H').contains("--cluster="), "{missing:?}");
    let two = nameless.with("options", &format!("--cluster={routing}")).with("database", "other-1.defaultdb");
    assert!(refusal(&two).field(b'M').contains("multiple different"));
}

#[test]
fn passwords_are_verified_with_and_without_channel_binding() {
    let (server, cluster) = furnished();
    let plain = wire(&server, &cluster);
    assert_eq!(session(&plain).value("SELECT current_user").as_deref(), Some("keeper"));
    let bound = plain.clone().binding();
    assert_eq!(session(&bound).value("SELECT current_user").as_deref(), Some("keeper"));
    for wrong in [plain.clone().password("wrong password"), bound.password("wrong password")] {
        let refusal = refusal(&wrong);
        assert_eq!(refusal.field(b'C'), "28P01", "{refusal:?}");
    }
    let nobody = refusal(&plain.with("user", "nobody"));
    assert_eq!((nobody.field(b'C').as_str(), nobody.field(b'M').contains("\"nobody\"")), ("28P01", true));
}

#[test]
fn copy_prepared_statements_and_large_rows() {
    let (server, cluster) = furnished();
    let mut session = session(&wire(&server, &cluster));
    session.query("CREATE TEMP TABLE lines (t text)").expect("an answer");
    session.send(b'Q', b"COPY lines FROM STDIN\0").expect("sent");
    assert_eq!(session.read().expect("a message").tag, b'G');
    for n in 0..1000 {
        session.send(b'd', format!("line {n}\n").as_bytes()).expect("sent");
    }
    session.send(b'c', &[]).expect("sent");
    assert_eq!(tags(&session.answer().expect("an answer")), "CZ");
    let out = session.query("COPY lines TO STDOUT").expect("an answer");
    assert_eq!(out.iter().filter(|message| message.tag == b'd').count(), 1000);
    // Parse, Bind, Execute, and Sync together, a hundred times.
    session.send(b'P', b"one\0SELECT $1::int + 1\0\0\0").expect("sent");
    for _ in 0..100 {
        session.send(b'B', &bind_one("one", "41")).expect("sent");
        session.send(b'E', b"\0\0\0\0\0").expect("sent");
    }
    session.send(b'S', &[]).expect("sent");
    let answer = session.answer().expect("an answer");
    let rows: Vec<&Message> = answer.iter().filter(|message| message.tag == b'D').collect();
    assert!(rows.len() == 100 && rows.iter().all(|row| row.body.ends_with(b"42")), "{}", tags(&answer));
    let large = session.value("SELECT repeat('0123456789abcdef', 4 << 20)").expect("a row");
    assert_eq!(large.len(), 64 << 20);
}

/// A Bind of the unnamed portal with one parameter as text.
fn bind_one(statement: &str, parameter: &str) -> Vec<u8> {
    let length = u32::try_from(parameter.len()).expect("short").to_be_bytes();
    [b"\0", statement.as_bytes(), b"\0\0\0\0\x01", &length, parameter.as_bytes(), b"\0\0"].concat()
}

#[test]
fn notifications_reach_a_waiting_session() {
    let (server, cluster) = furnished();
    let wire = wire(&server, &cluster);
    let (mut listener, mut speaker) = (session(&wire), session(&wire));
    listener.query("LISTEN news").expect("an answer");
    speaker.query("NOTIFY news, 'hello'").expect("an answer");
    let notice = listener.read().expect("a message");
    assert_eq!(notice.tag, b'A');
    assert!(notice.body.ends_with(b"news\0hello\0"), "{notice:?}");
}

fn cancel_request(key: &[u8]) -> Vec<u8> {
    let length = u32::try_from(key.len() + 8).expect("short").to_be_bytes();
    [&length, &[4, 210, 22, 46][..], key].concat()
}

#[test]
fn only_the_issued_cancel_key_cancels() {
    let (server, cluster) = furnished();
    let wire = wire(&server, &cluster);
    let mut running = session(&wire);
    let key = running.key.clone();
    let own = running.value("SELECT pg_backend_pid()").expect("a row");
    running.send(b'Q', b"SELECT pg_sleep(50)\0").expect("sent");
    let cancel = |key: &[u8]| {
        let mut stream = wire.tcp().expect("a connection");
        stream.write_all(&cancel_request(key)).expect("sent");
        let _ = stream.read(&mut [0]);
    };
    // The process ID of the server, or a wrong secret, cancels nothing.
    let pid: u32 = own.parse().expect("a number");
    cancel(&[&pid.to_be_bytes(), &key[4..]].concat());
    let mut wrong = key.clone();
    wrong[7] ^= 1;
    cancel(&wrong);
    let mut other = session(&wire);
    let active = format!("SELECT state FROM pg_stat_activity WHERE pid = {pid}");
    assert_eq!(other.value(&active).as_deref(), Some("active"));
    eventually("the statement is canceled", || {
        cancel(&key);
        (other.value(&active).as_deref() == Some("idle")).then_some(())
    });
    let answer = running.answer().expect("an answer");
    let error = answer.iter().find(|message| message.tag == b'E').expect("an error");
    assert_eq!(error.field(b'C'), "57014", "{error:?}");
}

#[test]
fn connections_over_tls_end_with_close_notify() {
    let (server, cluster) = furnished();
    let wire = wire(&server, &cluster);
    let tls = || wire.tls().expect("TLS");
    let ends = |mut conversation: Conversation, case: &str| {
        conversation.end().unwrap_or_else(|error| panic!("{case}: {error}"));
    };
    let late = tls();
    let mut terminated = session(&wire);
    for (case, key) in [("cancel request", terminated.key.clone()), ("unknown cancel key", vec![7; 8])] {
        let mut canceling = tls();
        canceling.raw(&cancel_request(&key)).expect("sent");
        ends(canceling, case);
    }
    let refused = [
        ("wrong password", tls(), wire.clone().password("wrong password")),
        ("unknown cluster", tls(), wire.clone().with("options", "--cluster=unknown-1")),
        ("replication", tls(), wire.clone().with("replication", "true")),
        ("no database", tls(), wire.clone().with("database", "unknown")),
        ("no ALPN", wire.direct(&[]).expect("TLS"), wire.clone()),
    ];
    for (case, mut conversation, wire) in refused {
        let refusal = wire.authenticate_over(&mut conversation).expect(case);
        assert!(refusal.is_err(), "{case}");
        ends(conversation, case);
    }
    let mut malformed = tls();
    malformed.raw(b"\0\0\0\x04").expect("sent");
    ends(malformed, "malformed startup packet");
    let mut closed = tls();
    closed.close_notify().expect("sent");
    ends(closed, "closed before the startup message");
    let mut closed = tls();
    wire.start(&mut closed).expect("sent");
    assert_eq!(closed.read().expect("a request for the password").tag, b'R');
    closed.close_notify().expect("sent");
    ends(closed, "closed during the login");
    terminated.send(b'X', &[]).expect("sent");
    ends(terminated, "Terminate");
    let mut killed = session(&wire);
    killed.query("SELECT pg_terminate_backend(pg_backend_pid())").expect("an error");
    ends(killed, "terminated by the server");
    ends(late, "handshake timeout");
}

#[test]
fn statement_on_a_deleted_cluster_receives_the_reason() {
    let (server, cluster) = furnished();
    let wire = wire(&server, &cluster);
    let mut sessions: Vec<Conversation> = (0..8).map(|_| session(&wire)).collect();
    for (n, session) in sessions.iter_mut().enumerate() {
        if n % 2 == 1 {
            session.query("BEGIN").expect("an answer");
        }
        session.send(b'Q', b"SELECT 1 FROM pg_sleep(51)\0").expect("sent");
    }
    let mut other = session(&wire);
    let running =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(51)' AND state = 'active'";
    eventually("all statements run", || (other.value(running).as_deref() == Some("8")).then_some(()));
    server.delete(&format!("/clusters/{}", id(&cluster))).ok();
    for (n, session) in sessions.iter_mut().chain([&mut other]).enumerate() {
        let answer = session.answer().unwrap_or_else(|error| panic!("session {n}: {error}"));
        let error = answer.iter().find(|message| message.tag == b'E').expect("an error");
        assert_eq!(error.field(b'C'), "57P01", "session {n}: {answer:?}");
        assert!(error.field(b'M').contains("the cluster was deleted"), "session {n}: {answer:?}");
        assert_eq!(session.end().expect("close_notify"), b"", "session {n}");
    }
}
