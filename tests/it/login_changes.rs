//! Changes of SQL users that are made in SQL apply to the next login.

use crate::support::{PASSWORD, PROGRAM, advance, id, sql_user};
use ootheca_testkit::{
    Engine, Folder, Ootheca, ServerBuilder, eventually,
    wire::{Conversation, Wire},
};
use std::{fs, net::SocketAddr};

const ROUNDS: usize = 10;
const OTHER_PASSWORD: &str = "another horse battery";

/// A cluster, and how to connect to it.
struct Furnished {
    wire: Wire,
    cluster: String,
}

fn furnish(server: &Ootheca, gateway: SocketAddr) -> Furnished {
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    sql_user(server, &cluster, "keeper");
    let routing_id = server.get(&format!("/clusters/{cluster}")).text("/config/serverless/routing_id");
    let wire = Wire::new(gateway, &server.authority());
    Furnished { wire: wire.with("database", &format!("{routing_id}.defaultdb")), cluster }
}

impl Furnished {
    fn log_in(&self, user: &str, password: &str) -> Result<Conversation, String> {
        let login = self.wire.clone().with("user", user).password(password).connect();
        login.expect("a connection").map_err(|error| error.field(b'M'))
    }

    #[track_caller]
    fn accepts(&self, user: &str, password: &str) {
        let session = self.log_in(user, password);
        let mut session = session.unwrap_or_else(|error| panic!("{user}: {error}"));
        assert_eq!(session.value("SELECT session_user").as_deref(), Some(user));
        session.send(b'X', &[]).expect("sent");
    }

    #[track_caller]
    fn refuses(&self, user: &str, password: &str) {
        let error = self.log_in(user, password).err().expect("the login is refused");
        assert_eq!(error, format!("password authentication failed for user \"{user}\""));
    }
}

#[track_caller]
fn run(admin: &mut Conversation, sql: &str) {
    let answer = admin.query(sql).expect("an answer");
    assert!(answer.iter().all(|message| message.tag != b'E'), "{sql}: {answer:?}");
}

/// Changes users in SQL, and logs in immediately after each change. `pooled` is whether the gateway keeps
/// connections that it must not hand over.
fn every_change_applies_to_the_next_login(there: &Furnished, pooled: bool) {
    let mut admin = there.log_in("keeper", PASSWORD).expect("a session");
    for round in 0..ROUNDS {
        for (what, change) in [
            ("password", "ALTER ROLE $ PASSWORD 'another horse battery'"),
            ("drop", "DROP ROLE $"),
            ("nologin", "ALTER ROLE $ NOLOGIN"),
            ("expire", "ALTER ROLE $ VALID UNTIL '2001-01-01'"),
            ("rename", "ALTER ROLE $ RENAME TO renamed_$"),
        ] {
            let user = format!("{what}_{round}");
            run(
                &mut admin,
                &format!("CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'; GRANT {user} TO keeper"),
            );
            there.accepts(&user, PASSWORD);
            if pooled {
                let idle = format!(
                    "SELECT count(*) FROM pg_stat_activity \
                     WHERE usename = '{user}' AND query = 'DISCARD ALL' AND state = 'idle'"
                );
                eventually("the connection is in the pool", || {
                    (admin.value(&idle).as_deref() == Some("1")).then_some(())
                });
            }
            run(&mut admin, &change.replace('$', &user));
            there.refuses(&user, PASSWORD);
            match what {
                "password" => there.accepts(&user, OTHER_PASSWORD),
                "rename" => there.accepts(&format!("renamed_{user}"), PASSWORD),
                "nologin" => {
                    run(&mut admin, &format!("ALTER ROLE {user} LOGIN"));
                    there.accepts(&user, PASSWORD);
                }
                "expire" => {
                    run(&mut admin, &format!("ALTER ROLE {user} VALID UNTIL 'infinity'"));
                    there.accepts(&user, PASSWORD);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn changes_in_sql_apply_to_the_next_login() {
    let server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).boot();
    let there = furnish(&server, server.sql_address());
    every_change_applies_to_the_next_login(&there, false);
}

#[test]
fn changes_in_sql_apply_to_the_next_login_with_pooling() {
    let launch = ServerBuilder::new(PROGRAM).engine(Engine::Postgres);
    let server = launch.env("OOTHECA_GATEWAY__POOL_IDLE_SECONDS", "600").boot();
    let there = furnish(&server, server.sql_address());
    every_change_applies_to_the_next_login(&there, true);
}

#[test]
fn changes_in_sql_apply_to_the_next_login_at_a_separate_gateway() {
    let server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).arg("--no-gateway").boot();
    let folder = Folder::new();
    let config = folder.path().join("gateway.toml");
    fs::write(&config, "[gateway]\npool_idle_seconds = 600\n").expect("the settings");
    let gateway = server.gateway(&["--config", &config.display().to_string()]);
    let there = furnish(&server, gateway.address());
    every_change_applies_to_the_next_login(&there, true);
    gateway.terminate();
}

#[test]
fn reading_secrets_does_not_keep_a_cluster_awake() {
    let launch = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).arg("--test-clock");
    let server = launch.env("OOTHECA_SCALE_TO_ZERO__IDLE_SECONDS", "300").boot();
    let there = furnish(&server, server.sql_address());
    for password in [OTHER_PASSWORD, PASSWORD] {
        let mut session = there.log_in("keeper", PASSWORD).expect("a session");
        run(&mut session, &format!("CREATE ROLE bob LOGIN PASSWORD '{password}'"));
        there.accepts("bob", password);
        let control = "SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'ootheca'";
        assert_eq!(session.value(control).as_deref(), Some("t"), "the session that reads secrets is open");
        run(&mut session, "DROP ROLE bob");
        there.refuses("bob", password);
        session.send(b'X', &[]).expect("sent");
        drop(session);
        let nodes = format!("/clusters/{}/nodes", there.cluster);
        eventually("the cluster is suspended", || {
            advance(&server, 300);
            server.get(&nodes).ok()["nodes"].as_array().expect("nodes").is_empty().then_some(())
        });
        there.refuses("bob", password);
    }
}
