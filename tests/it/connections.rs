//! Limits and deadlines of connections to the API.

use crate::support::{PASSWORD, PROGRAM, id, simulated, sql_user};
use ootheca_testkit::{Engine, Ootheca, ServerBuilder, eventually};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// The head of a request without its end.
const PART: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n";

fn connect(server: &Ootheca, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    // The server may already have refused the connection.
    let _ = stream.write_all(sent.as_bytes());
    stream
}

/// Everything that the server sends until it closes the connection.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection is open"),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

#[test]
fn half_open_requests_block_neither_the_api_nor_sql() {
    let server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).open_files(256).boot();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    sql_user(&server, &cluster, "keeper");
    let held: Vec<TcpStream> = (0..300).map(|_| connect(&server, PART)).collect();
    server.get("/clusters").ok();
    assert_eq!(server.psql(&cluster, "keeper", PASSWORD, "SELECT 1").ok(), "1");
    drop(held);
}

#[test]
fn an_incomplete_request_ends_at_its_deadline() {
    let server = ServerBuilder::new(PROGRAM)
        .env("OOTHECA_HTTP__HEADER_SECONDS", "1")
        .env("OOTHECA_HTTP__BODY_SECONDS", "1")
        .boot();
    for head in [PART, ""] {
        let mut stream = connect(&server, head);
        assert_eq!(rest(&mut stream), "", "after {head:?}");
    }
    let key = server.admin_key();
    let head = format!(
        "POST /api/v1/clusters HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 9\r\n\r\n{{"
    );
    let answer = rest(&mut connect(&server, &head));
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("body: must be complete within 1 s"), "{answer}");
}

#[test]
fn busy_connections_are_not_displaced() {
    let server = ServerBuilder::new(PROGRAM).env("OOTHECA_HTTP__MAX_CONNECTIONS", "2").boot();
    let key = server.admin_key();
    let events = format!("GET /api/v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n");
    let mut streams: Vec<TcpStream> = (0..2).map(|_| connect(&server, &events)).collect();
    for stream in &mut streams {
        let mut start = [0; 15];
        stream.read_exact(&mut start).expect("the stream of events starts");
        assert_eq!(&start, b"HTTP/1.1 200 OK");
    }
    let refused = rest(&mut connect(&server, PART));
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    drop(streams.pop());
    eventually("the place of the closed stream is free", || {
        let answer = server.raw("GET", "/healthz").try_send().ok()?;
        (answer.status == 200).then_some(())
    });
}

#[test]
fn several_requests_on_one_connection_are_answered() {
    let server = simulated();
    let mut stream = connect(&server, "");
    for number in 0..3 {
        let last = if number == 2 { "connection: close\r\n" } else { "" };
        let request = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{last}\r\n");
        stream.write_all(request.as_bytes()).expect("the request is sent");
    }
    let answers = rest(&mut stream);
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    assert_eq!(answers.matches("alive").count(), 3, "{answers}");
}
