//! Who is let in, and that nobody else touches the server.

use crate::support::{Front, PASSWORD, Server, USER, eventually, log_in, read_message, rest, startup};
use futures_util::future::join_all;
use ootheca_model::login::Secret;
use ootheca_pg_protocol::{
    frontend::{sasl_initial_response, sasl_response},
    startup::SSL_REQUEST,
};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;

const SECOND: Duration = Duration::from_secs(1);

const SET_UP: &str = "CREATE ROLE bob LOGIN PASSWORD 'bob knows a password';
    CREATE ROLE mute LOGIN; CREATE ROLE late LOGIN PASSWORD 'correct horse battery' VALID UNTIL '2001-01-01';
    CREATE ROLE idle NOLOGIN PASSWORD 'correct horse battery';
    SET password_encryption = 'md5'; CREATE ROLE old LOGIN PASSWORD 'correct horse battery'";

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_password_reaches_the_server() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    server.admin().await.batch_execute(SET_UP).await.expect("users");
    let psql = || front.psql().cluster("shop-12");
    for user in [USER, "nobody", "mute", "late", "idle"] {
        let told = psql().with("user", user).password("the wrong one").fails().await;
        assert!(told.contains(&format!("password authentication failed for user \"{user}\"")), "{told}");
        if user != USER {
            assert_eq!(psql().with("user", user).fails().await, told);
        }
        // Leaves the failures of the others out of it.
        psql().run("SELECT 1").await.expect("the right password");
    }
    let old = psql().with("user", "old").fails().await;
    for text in ["user \"old\"", "MD5", "only SCRAM-SHA-256", "HINT:", "password again"] {
        assert!(old.contains(text), "{old}");
    }
    let (endpoints, _) = front.town.calls();
    assert_eq!(endpoints, 5, "only with the right password");
    assert_eq!(
        psql().with("user", "bob").password("bob knows a password").run("SELECT user").await,
        Ok("bob".into())
    );
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn channel_binding_and_what_psql_asks_for() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let psql = || front.psql().cluster("shop-12");
    for binding in ["require", "prefer", "disable"] {
        let asked = psql().with("channel_binding", binding);
        assert_eq!(asked.run("SELECT 'in'").await, Ok("in".into()), "{binding}");
    }
    let told = psql().with("dbname", "nowhere").fails().await;
    assert!(told.contains("database \"nowhere\" does not exist"), "{told}");
    let own = psql().with("user", USER).with("dbname", "").fails().await;
    assert!(own.contains(&format!("database \"{USER}\" does not exist")), "{own}");
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_in_between_is_noticed() {
    let front = Front::start("/nowhere/.s.PGSQL.5432".into()).await;
    let first =
        |mechanism: &str, text: &str| sasl_response(&sasl_initial_response(mechanism, text.as_bytes()));
    for (sent, told) in [
        (first("SCRAM-SHA-256", "y,,n=,r=abc"), "was told that the server does not"),
        (first("SCRAM-SHA-256-PLUS", "n,,n=,r=abc"), "malformed SCRAM message"),
        (first("PLAIN", "n,,n=,r=abc"), "invalid SASL mechanism"),
        (b"Q\0\0\0\x0dSELECT 1\0".to_vec(), "expected SASL response"),
        (b"p\x7f\xff\xff\xff".to_vec(), "invalid message length"),
    ] {
        let mut stream = front.raw().tls("localhost").await;
        stream.write_all(&startup(&[("user", USER), ("database", "shop-12.any")])).await.expect("sent");
        assert_eq!(read_message(&mut stream).await.0, b'R');
        stream.write_all(&sent).await.expect("sent");
        let answer = rest(&mut stream).await;
        assert!(answer.contains(told), "{answer:?}");
    }
    assert_eq!(front.town.calls(), (0, 0));
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_down() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let psql = || front.psql().cluster("shop-12");
    let mut told = String::new();
    for _ in 0..20 {
        told = psql().password("the wrong one").fails().await;
        if told.contains("too many failed login attempts") {
            break;
        }
    }
    for text in ["codeProxyRefusedConnection: too many failed login attempts; try again in", "check user and"]
    {
        assert!(told.to_lowercase().contains(&text.to_lowercase()), "{told}");
    }
    assert_eq!(front.town.calls().0, 0, "the server was not touched");
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_the_same_time_are_slowed_down_too() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let psql = front.psql().cluster("shop-12").password("wrong");
    let answers = join_all((0..20).map(|_| psql.fails())).await;
    let judged = answers.iter().filter(|answer| answer.contains("password authentication failed")).count();
    assert!(answers.iter().all(|answer| answer.contains("password") || answer.contains("too many failed")));
    assert!((1..=8).contains(&judged), "{judged} of 20 guesses were judged: {answers:?}");
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_forbidden_clusters_look_the_same() {
    let front = Front::start("/nowhere".into()).await;
    front.town.allow(&["10.0.0.0/8"]);
    let mut answers = Vec::new();
    for id in ["shop-12", "shop-13"] {
        let mut stream = front.raw().tls("localhost").await;
        let start = Instant::now();
        let hello = startup(&[("user", USER), ("database", &format!("{id}.any"))]);
        stream.write_all(&hello).await.expect("sent");
        answers.push(rest(&mut stream).await.replace(id, "it"));
        assert!(start.elapsed() >= Duration::from_millis(30), "not before it may show");
    }
    assert!(answers[0].contains("\0C08004\0") && answers[0] == answers[1], "{answers:?}");
    let refused = front.gateway.metrics().refused;
    assert_eq!((refused.get("denied"), refused.get("unknown_cluster")), (Some(&1), Some(&1)));
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_just_changed() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let admin = server.admin().await;
    let row = admin.query_one("SELECT rolpassword FROM pg_authid WHERE rolname = $1", &[&USER]).await;
    let before = row.expect("a row").get(0);
    admin.batch_execute("ALTER ROLE ann PASSWORD 'another password now'").await.expect("changed");
    front.town.remember(USER, Secret::Scram(before));
    let told = front.psql().cluster("shop-12").fails().await;
    assert!(told.contains("was changed a moment ago") && told.to_lowercase().contains("try again"), "{told}");
    assert_eq!(front.town.calls(), (1, 1));
    let psql = front.psql().cluster("shop-12").password("another password now");
    psql.run("SELECT 1").await.expect("the new one");
    front.psql().cluster("shop-12").fails().await;
    assert_eq!(front.town.calls(), (2, 2), "a proof that fails may be right by now");
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_protocols_and_their_options() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let parameters = [("user", USER), ("database", "shop-12.defaultdb"), ("_pq_.unheard_of", "1")];
    let mut hello = startup(&parameters);
    hello[4..8].copy_from_slice(&[0, 3, 0, 9]);
    let mut stream = front.raw().tls("localhost").await;
    stream.write_all(&hello).await.expect("sent");
    let (kind, body) = read_message(&mut stream).await;
    assert_eq!((kind, body), (b'v', b"\0\x03\0\x02\0\0\0\x01_pq_.unheard_of\0".to_vec()));
    let said = log_in(&mut stream, PASSWORD).await;
    assert!(said.ends_with(b"Z\0\0\0\x05I"));
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cluster_does_not_take_all() {
    let server = Server::start().await;
    let front = Front::start_with(server.socket(), |s| s.max_connections_per_cluster = 1).await;
    let first = front.raw().session().await;
    let told = front.psql().cluster("shop-12").fails().await;
    assert!(told.contains("too many connections to this cluster"), "{told}");
    let wrong = front.psql().cluster("shop-12").password("wrong password").fails().await;
    assert!(wrong.contains("password authentication failed"), "{wrong}");
    drop(first);
    eventually("there is room", 5 * SECOND, async || {
        front.psql().cluster("shop-12").run("SELECT 1").await.is_ok()
    })
    .await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_in_front_says_who_is_there() {
    let front = Front::start_with("/nowhere".into(), |settings| settings.proxy_protocol = true).await;
    front.town.allow(&["10.0.0.0/8"]);
    let told = async |source: [u8; 4]| {
        let mut stream = front.raw().tcp().await;
        let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
        header.extend([&source[..], &[127, 0, 0, 1], &[0x11, 0x11, 0x22, 0x22]].concat());
        stream.write_all(&header).await.expect("sent");
        let mut stream = front.raw().tls_over(stream, "localhost").await;
        stream.write_all(&startup(&[("user", USER), ("database", "shop-12.any")])).await.expect("sent");
        let (kind, body) = read_message(&mut stream).await;
        (kind, String::from_utf8_lossy(&body).into_owned())
    };
    assert_eq!(told([10, 1, 2, 3]).await.0, b'R', "may try");
    let (kind, text) = told([192, 0, 2, 1]).await;
    assert!(kind == b'E' && text.contains("not found"), "{text}");
    let mut stream = front.raw().tcp().await;
    stream.write_all(&[SSL_REQUEST, [0; 8]].concat()).await.expect("sent");
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    eventually("it is counted", SECOND, async || {
        front.gateway.metrics().closed.get("proxy_protocol") == Some(&1)
    })
    .await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_while_the_cluster_wakes_holds_no_seat() {
    let server = Server::start().await;
    let front = Front::start_with(server.socket(), |s| s.max_connections_per_cluster = 1).await;
    front.town.be_awake(false);
    let mut stream = front.raw().tls("localhost").await;
    let hello = startup(&[("user", USER), ("database", "shop-12.defaultdb")]);
    stream.write_all(&hello).await.expect("sent");
    tokio::select! {
        _ = log_in(&mut stream, PASSWORD) => panic!("the server is not there"),
        () = eventually("it waits for the server", 5 * SECOND, async || front.town.calls().0 > 0) => {}
    }
    let told = front.psql().cluster("shop-12").fails().await;
    assert!(told.contains("too many connections to this cluster"), "{told}");
    drop(stream);
    eventually("its seat is free", 5 * SECOND, async || front.gateway.connections() == 0).await;
    assert_eq!(front.gateway.metrics().closed.get("gone"), Some(&1));
    front.town.be_awake(true);
    front.psql().cluster("shop-12").run("SELECT 1").await.expect("there is a seat");
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_ahead_is_not_lost() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    front.town.be_awake(false);
    let mut stream = front.raw().tls("localhost").await;
    let hello = startup(&[("user", USER), ("database", "shop-12.defaultdb")]);
    stream.write_all(&hello).await.expect("sent");
    tokio::select! {
        _ = log_in(&mut stream, PASSWORD) => panic!("the server is not there"),
        () = eventually("it waits for the server", 5 * SECOND, async || front.town.calls().0 > 0) => {}
    }
    stream.write_all(b"Q\0\0\0\x0dSELECT 1\0").await.expect("sent");
    front.town.be_awake(true);
    let mut kinds = Vec::new();
    while kinds.iter().filter(|kind| **kind == b'Z').count() < 2 {
        kinds.push(read_message(&mut stream).await.0);
    }
    assert!(kinds.contains(&b'D'), "{kinds:?}");
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_tell_who_is_no_user() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let iterations = async |user: &str| {
        let mut stream = front.raw().tls("localhost").await;
        stream.write_all(&startup(&[("user", user), ("database", "shop-12.any")])).await.expect("sent");
        read_message(&mut stream).await;
        let first = sasl_initial_response("SCRAM-SHA-256", b"n,,n=,r=abcd");
        stream.write_all(&sasl_response(&first)).await.expect("sent");
        let (_, body) = read_message(&mut stream).await;
        String::from_utf8_lossy(&body).rsplit_once(",i=").map(|(_, count)| count.to_owned())
    };
    assert_eq!(iterations(USER).await.as_deref(), Some("4096"));
    assert_eq!(iterations("nobody").await.as_deref(), Some("4096"));
    front.town.iterate(9000);
    assert_eq!(iterations("nobody").await.as_deref(), Some("9000"));
    front.stop().await;
}
