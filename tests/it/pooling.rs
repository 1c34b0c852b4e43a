//! Whether sessions of the same user can observe each other's server connections.

use crate::support::{PASSWORD, PROGRAM, id, real, sql_user};
use ootheca_testkit::{
    Engine, Ootheca, ServerBuilder, eventually,
    wire::{Conversation, Wire},
};
use std::collections::BTreeSet;

/// What a session can leave behind, with the result of `setseed(0.5)` for comparison.
const CHANGES: &str = "SET app.tenant = 'first'; SET work_mem = '99kB'; SET search_path = pg_catalog; \
     SET ROLE admin; RESET ROLE; CREATE TEMP TABLE leftover (); PREPARE leftover AS SELECT 1; \
     CREATE TEMP SEQUENCE numbers; SELECT nextval('numbers'); LISTEN leftover; SELECT pg_advisory_lock(7); \
     DECLARE leftover CURSOR WITH HOLD FOR SELECT 1; ALTER ROLE keeper SET geqo_seed = 0.25; \
     SELECT setseed(0.5)";

/// The state of a session, one fact in each line.
const STATE: &str = "SELECT string_agg(name || ' = ' || coalesce(quote_literal(value), 'NULL'), E'\\n') FROM ( \
         SELECT name, setting AS value FROM pg_settings \
         UNION ALL SELECT 'app.tenant', current_setting('app.tenant', true) \
         UNION ALL SELECT 'random seed kept', (random() = $random)::text \
         UNION ALL SELECT 'user', current_user::text \
         UNION ALL SELECT 'temporary', (SELECT count(*) FROM pg_class WHERE relpersistence = 't')::text \
         UNION ALL SELECT 'prepared', (SELECT count(*) FROM pg_prepared_statements)::text \
         UNION ALL SELECT 'cursors', (SELECT count(*) FROM pg_cursors WHERE name = 'leftover')::text \
         UNION ALL SELECT 'channels', (SELECT count(*) FROM pg_listening_channels())::text \
         UNION ALL SELECT 'locks', (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')::text \
     ) AS facts (name, value)";

fn wire(server: &Ootheca, cluster: &str) -> Wire {
    let routing_id = server.get(&format!("/clusters/{cluster}")).text("/config/serverless/routing_id");
    let database = format!("{routing_id}.defaultdb");
    let wire = Wire::new(server.sql_address(), &server.authority());
    wire.with("user", "keeper").with("database", &database).password(PASSWORD)
}

fn open(wire: &Wire) -> (Conversation, String) {
    let mut session = wire.connect().expect("a connection").expect("a session");
    let pid = session.value("SELECT pg_backend_pid()").expect("a row");
    (session, pid)
}

fn state(session: &mut Conversation, random: &str) -> BTreeSet<String> {
    let facts = session.value(&STATE.replace("$random", random)).expect("a row");
    facts.lines().map(str::to_owned).collect()
}

#[test]
fn sessions_have_separate_server_processes_by_default() {
    let server = real();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    sql_user(&server, &cluster, "keeper");
    let query = "SELECT current_setting('app.tenant', true) IS NULL; SET app.tenant = 'earlier'";
    for round in 0..10 {
        let output = server.psql(&cluster, "keeper", PASSWORD, query);
        assert_eq!(output.ok(), "t", "session {round}");
    }
}

#[test]
fn reused_session_differs_only_in_custom_settings_random_seed_and_role_settings() {
    let launch = ServerBuilder::new(PROGRAM).engine(Engine::Postgres);
    let server = launch.env("OOTHECA_GATEWAY__POOL_IDLE_SECONDS", "60").boot();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    sql_user(&server, &cluster, "keeper");
    let wire = wire(&server, &cluster);
    // A session that stays open is not pooled.
    let (mut fresh, _) = open(&wire);
    let before = state(&mut fresh, "-1");
    fresh.query("SELECT setseed(0.5)").expect("an answer");
    let random = fresh.value("SELECT random()").expect("a row");
    let (mut first, pid) = open(&wire);
    for change in CHANGES.split("; ") {
        let answer = first.query(change).expect("an answer");
        assert!(answer.iter().all(|message| message.tag != b'E'), "{change}: {answer:?}");
    }
    first.send(b'X', &[]).expect("sent");
    drop(first);
    let mut others = Vec::new();
    let mut reused = eventually("the connection is reused", || {
        let (session, own) = open(&wire);
        if own == pid {
            return Some(session);
        }
        others.push(session);
        None
    });
    let reused = state(&mut reused, &random);
    let (mut new, _) = open(&wire);
    let new = state(&mut new, &random);
    let differences: Vec<_> = reused.difference(&new).collect();
    assert_eq!(differences, ["app.tenant = ''", "geqo_seed = '0'", "random seed kept = 'true'"]);
    let since: Vec<_> = reused.difference(&before).collect();
    assert_eq!(since, ["app.tenant = ''", "random seed kept = 'true'"]);
}
