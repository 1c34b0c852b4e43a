//! The guard with a real server: a refused statement leaves the session in the same state as a failed one.

use super::*;
use ootheca_pg_protocol::startup::StartupMessage;
use ootheca_testkit::postgres::TemporaryPostgres;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A guarded session of the superuser.
struct GuardedSession {
    stream: TcpStream,
    guard: StorageGuard,
}

impl GuardedSession {
    async fn start(server: &TemporaryPostgres, exceeded: bool) -> Self {
        let notice = Notice { message: "over the limit".into(), hint: "delete something".into() };
        let guard = StorageGuard::new(&notice, Arc::new(exceeded.into()));
        let mut stream = TcpStream::connect(server.address()).await.expect("the server answers");
        let startup = StartupMessage::new([("user", "postgres"), ("database", "postgres")]).expect("valid");
        stream.write_all(&startup.encode()).await.expect("a startup");
        let mut session = Self { stream, guard };
        session.answer(&[]).await;
        session
    }

    /// Sends messages, and summarizes the responses up to ReadyForQuery: message types, SQLSTATEs, and the
    /// transaction status.
    async fn answer(&mut self, bytes: &[u8]) -> String {
        let (mut sent, mut received, mut chunk) = (Vec::new(), Vec::new(), [0; 512]);
        self.guard.inbound(bytes, &mut sent).expect("well-formed");
        self.stream.write_all(&sent).await.expect("sent");
        loop {
            let count = self.stream.read(&mut chunk).await.expect("received");
            assert_ne!(count, 0, "the server closed");
            self.guard.outbound(&chunk[..count], &mut received).expect("well-formed");
            if let [.., b'Z', 0, 0, 0, 5, b'I' | b'T' | b'E'] = received.as_slice() {
                return shown(&received);
            }
        }
    }

    async fn run(&mut self, text: &str) -> String {
        self.answer(&query(text)).await
    }
}

fn shown(mut bytes: &[u8]) -> String {
    let mut shown = Vec::new();
    while let [kind, a, b, c, d, rest @ ..] = bytes {
        let (body, later) = rest.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize - 4);
        bytes = later;
        let text = String::from_utf8_lossy(body).into_owned();
        match kind {
            b'E' => {
                let code = text.split('\0').find_map(|field| field.strip_prefix('C'));
                shown.push(format!("error {}", code.expect("a code")));
            }
            b'Z' => shown.push(format!("ready {text}")),
            b'S' | b'K' | b'R' | b'N' => {}
            kind => shown.push(char::from(*kind).to_string()),
        }
    }
    shown.join(", ")
}

fn query(text: &str) -> Vec<u8> {
    encode(b'Q', format!("{text}\0").as_bytes())
}

/// Parse, Bind, Execute, Close, and Sync.
fn extended(text: &str) -> Vec<u8> {
    let parse = encode(b'P', format!("s\0{text}\0\0\0").as_bytes());
    let bind = encode(b'B', b"\0s\0\0\0\0\0\0\0");
    [parse, bind, encode(b'E', b"\0\0\0\0\0"), encode(b'C', b"Ss\0"), encode(b'S', b"")].concat()
}

/// The responses to a statement in every context in which one can fail.
async fn responses(session: &mut GuardedSession, statement: &str) -> Vec<String> {
    let function = encode(b'F', b"\xff\xff\xff\xff\0\0\0\0\0\0");
    let parts = [
        query(statement),
        query(&format!("select 1; {statement}; select 2")),
        extended(statement),
        extended("select 1"),
        function.clone(),
        query("begin"),
        query("savepoint a"),
        query(statement),
        query("select 1"),
        query("rollback to a"),
        query("select 1"),
        extended(statement),
        extended("select 1"),
        query("rollback"),
        query("begin"),
        function,
        query("commit"),
        query("select 1"),
    ];
    let mut answers = Vec::new();
    for part in parts {
        answers.push(session.answer(&part).await);
    }
    answers
}

#[tokio::test]
async fn a_refused_statement_fails_as_any_other() {
    let server = TemporaryPostgres::start();
    let mut free = GuardedSession::start(&server, false).await;
    let created = free.run("create table t (a int); insert into t values (1), (2)").await;
    assert_eq!(created, "C, C, ready I");

    let mut guarded = GuardedSession::start(&server, true).await;
    let failed = responses(&mut free, "insert into t values (").await;
    let refused = responses(&mut guarded, "insert into t values (3)").await;
    let failed: Vec<_> =
        failed.iter().map(|line| line.replace("42601", "53100").replace("42883", "53100")).collect();
    assert_eq!(refused, failed);
    assert_eq!(refused[0], "error 53100, ready I");

    for text in
        ["copy t from stdin", "create table u as table t", "select * into u from t", "do $$begin end$$"]
    {
        assert_eq!(guarded.run(text).await, "error 53100, ready I", "{text}");
    }
    assert_eq!(guarded.run("select * from t for update").await, "T, D, D, C, ready I");
    assert_eq!(guarded.run("delete from t where a = 1").await, "C, ready I");
    assert_eq!(guarded.answer(&extended("copy t to stdout")).await, "1, 2, H, d, c, C, 3, ready I");
    assert_eq!(guarded.run("truncate t; drop table t").await, "C, C, ready I");
    assert_eq!(guarded.run("vacuum full").await, "C, ready I");
    assert_eq!(guarded.run("syntax error").await, "error 53100, ready I");
    assert_eq!(guarded.run("select from from").await, "error 42601, ready I");
}
