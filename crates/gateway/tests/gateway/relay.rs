//! Relayed bytes arrive unchanged.

use crate::support::{
    LOGIN_COMPLETE, PASSWORD, PostgresServer, TestGateway, USER, accept_login, log_in, send, startup,
};
use proptest::{prelude::*, test_runner::TestRunner};
use std::process::Stdio;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, split},
    net::UnixListener,
    runtime::Runtime,
};

#[tokio::test(flavor = "multi_thread")]
async fn large_results_and_copy_in_both_directions() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let psql = gateway.psql().cluster("shop-12");
    let wide = psql.run("SELECT repeat('x', 20000000)").await.expect("a wide row");
    assert!(wide.len() == 20_000_000 && wide.bytes().all(|byte| byte == b'x'));

    let lines: String = (0..200_000).map(|number| format!("{number}\tline {number}\n")).collect();
    psql.run("CREATE TABLE lines (number int PRIMARY KEY, text text)").await.expect("a table");
    let mut copy = psql.command();
    let mut copy = copy.args(["-c", "COPY lines FROM STDIN"]).stdin(Stdio::piped()).spawn().expect("psql");
    let mut input = copy.stdin.take().expect("its input");
    send(&mut input, lines.as_bytes()).await;
    drop(input);
    assert!(copy.wait().await.expect("an end").success());
    let back = psql.run("COPY (SELECT * FROM lines ORDER BY number) TO STDOUT").await.expect("the lines");
    assert!(back == lines.trim_end(), "the lines differ");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_concurrent_connections() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let raw = std::sync::Arc::new(gateway.raw());
    let opening: Vec<_> = (0..200i32)
        .map(|number| {
            let raw = raw.clone();
            tokio::spawn(async move {
                let client = raw.session().await;
                let row = client.query_one("SELECT $1::int4", &[&number]).await.expect("a row");
                assert_eq!(row.get::<_, i32>(0), number);
                client
            })
        })
        .collect();
    let mut clients = Vec::new();
    for client in opening {
        clients.push(client.await.expect("a session"));
    }
    assert_eq!(gateway.inner.connections(), 200);
    for client in &clients {
        client.simple_query("SELECT 1").await.expect("a live session");
    }
    drop(clients);
    gateway.stop().await;
}

fn chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let size = prop_oneof![1usize..40, 1000usize..9000, 30_000usize..120_000];
    let chunk = (size, any::<u8>()).prop_map(|(size, seed)| {
        let byte = |index: usize| (index.wrapping_mul(31) as u8) ^ (index >> 8) as u8 ^ seed;
        (0..size).map(byte).collect()
    });
    prop::collection::vec(chunk, 0..12)
}

#[test]
fn bytes_arrive_unchanged_in_both_directions() {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("server");
    let _guard = runtime.enter();
    let listener = UnixListener::bind(&socket).expect("a socket");
    let gateway = runtime.block_on(TestGateway::start(socket));
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) });
    let result = runner.run(&(chunks(), chunks()), |(up, down)| {
        let (all_up, all_down) = (up.concat(), down.concat());
        let (mut seen_up, mut seen_down) = (vec![0; all_up.len()], vec![0; all_down.len()]);
        runtime.block_on(async {
            let mut client = gateway.raw().tls("localhost").await;
            let hello = startup(&[("user", USER), ("database", "shop-12.any")]);
            send(&mut client, &hello).await;
            let reached = async {
                let (mut server, _) = listener.accept().await.expect("a connection");
                let seen = accept_login(&mut server).await;
                (server, seen)
            };
            let (received, (mut server, seen)) = tokio::join!(log_in(&mut client, PASSWORD), reached);
            assert_eq!(seen, startup(&[("user", USER), ("database", "any")]));
            assert_eq!(received.len(), LOGIN_COMPLETE.len());
            let ((mut client_in, mut client_out), (mut server_in, mut server_out)) =
                (split(client), server.split());
            let send_up = async {
                for chunk in &up {
                    send(&mut client_out, chunk).await;
                    client_out.flush().await.expect("sent");
                }
            };
            let send_down = async {
                for chunk in &down {
                    send(&mut server_out, chunk).await;
                }
            };
            let (_, _, up, down) = tokio::join!(
                send_up,
                send_down,
                server_in.read_exact(&mut seen_up),
                client_in.read_exact(&mut seen_down),
            );
            up.and(down).expect("everything arrives");
        });
        prop_assert!(seen_up == all_up && seen_down == all_down);
        Ok(())
    });
    result.expect("transparent");
    runtime.block_on(gateway.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_resemble_terminate_are_forwarded() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("server");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let gateway = TestGateway::start(socket).await;
    let mut client = gateway.raw().tls("localhost").await;
    send(&mut client, &startup(&[("user", USER), ("database", "shop-12.any")])).await;
    let reached = async {
        let (mut server, _) = listener.accept().await.expect("a connection");
        accept_login(&mut server).await;
        server
    };
    let (_, mut server) = tokio::join!(log_in(&mut client, PASSWORD), reached);
    for piece in [&b"X\0\0\0\x04"[..], b"and more"] {
        send(&mut client, piece).await;
        client.flush().await.expect("sent");
    }
    let mut seen = [0; 13];
    server.read_exact(&mut seen).await.expect("all of it");
    assert_eq!(&seen, b"X\0\0\0\x04and more");
    gateway.stop().await;
}
