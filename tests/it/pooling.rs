//! Whether sessions of the same user can observe each other's server connections.

use crate::support::{PASSWORD, PROGRAM, id, real, sql_user};
use ootheca_testkit::{
    Engine, Ootheca, ServerBuilder, eventually,
    wire::{Conversation, Message, Wire},
};
use std::collections::BTreeSet;

/// What `docs/gateway.md` says about the connection pool.
const DOCUMENTATION: &str = include_str!("../../docs/gateway.md");

/// The differences between a reused session and a new one: the titles in the documentation, and the facts.
const DIFFERENCES: [(&str, &[&str]); 7] = [
    ("Custom settings", &["app.tenant"]),
    ("The random seed", &["random seed kept"]),
    ("Settings of roles and databases", &["geqo_seed"]),
    (
        "Settings of loaded libraries",
        &[
            "plpgsql.check_asserts",
            "plpgsql.extra_errors",
            "plpgsql.extra_warnings",
            "plpgsql.print_strict_params",
            "plpgsql.variable_conflict",
        ],
    ),
    (
        "The source of transaction settings",
        &["transaction_deferrable", "transaction_isolation", "transaction_read_only"],
    ),
    ("The temporary schema", &["temporary schema"]),
    ("The number of temporary buffers", &["SET temp_buffers TO 300"]),
];

/// What a session can leave behind, besides the settings that PostgreSQL lists. The function `setseed` is the last one,
/// because the next random number is compared.
const CHANGES: [&str; 12] = [
    "SET app.tenant = 'first'",
    "SET temp_buffers TO 200",
    "CREATE TEMP TABLE leftover ()",
    "CREATE TEMP SEQUENCE numbers",
    "SELECT nextval('numbers')",
    "PREPARE leftover AS SELECT 1",
    "DECLARE leftover CURSOR WITH HOLD FOR SELECT 1",
    "LISTEN leftover",
    "SELECT pg_advisory_lock(7)",
    "DO 'BEGIN END'",
    "ALTER ROLE keeper SET geqo_seed = 0.25",
    "SELECT setseed(0.5)",
];

/// A statement for each setting that the user can change, with a value that it does not have. An error ends the
/// session after `exit_on_error`, so that is the last one.
const SETTINGS: &str = "SELECT string_agg( \
         format('SET %I = %L', name, CASE vartype \
             WHEN 'bool' THEN CASE setting WHEN 'on' THEN 'off' ELSE 'on' END \
             WHEN 'enum' THEN (SELECT v.value FROM unnest(enumvals) WITH ORDINALITY AS v (value, number) \
                 WHERE v.value <> setting ORDER BY v.number DESC LIMIT 1) \
             WHEN 'integer' THEN CASE setting WHEN max_val THEN min_val ELSE max_val END \
             WHEN 'real' THEN CASE WHEN setting::float8 + 0.5 <= max_val::float8 \
                 THEN (setting::float8 + 0.5)::text ELSE min_val END \
             ELSE (SELECT min(v.value) FROM (VALUES $strings) AS v (name, value) \
                 WHERE v.name = s.name AND v.value <> s.setting) \
         END), \
         E'\\n' ORDER BY name = 'exit_on_error', name) \
     FROM pg_settings AS s \
     WHERE (context = 'user' OR context = 'superuser' AND has_parameter_privilege(name, 'SET')) \
     AND name NOT IN ($skipped)";

/// Values of the settings that are strings. Some have two, because one of them can be the default.
const STRINGS: [(&str, &str); 22] = [
    ("application_name", "earlier"),
    ("client_encoding", "LATIN1"),
    ("createrole_self_grant", "set"),
    ("DateStyle", "German, DMY"),
    ("default_tablespace", "pg_default"),
    ("default_text_search_config", "pg_catalog.english"),
    ("default_text_search_config", "pg_catalog.simple"),
    ("lc_monetary", "C"),
    ("lc_monetary", "POSIX"),
    ("lc_numeric", "C"),
    ("lc_numeric", "POSIX"),
    ("lc_time", "C"),
    ("lc_time", "POSIX"),
    ("local_preload_libraries", "unknown"),
    ("plpgsql.extra_errors", "all"),
    ("plpgsql.extra_warnings", "all"),
    ("restrict_nonsystem_relation_kind", "foreign-table"),
    ("search_path", "pg_catalog"),
    ("temp_tablespaces", "pg_default"),
    // An offset from UTC, which needs no file.
    ("TimeZone", "5"),
    ("timezone_abbreviations", "Australia"),
    ("timezone_abbreviations", "India"),
];

/// Settings that are not changed, and why.
const SKIPPED: [(&str, &str); 2] = [
    ("default_table_access_method", "there is only one"),
    ("temp_buffers", "it is changed before temporary tables are used"),
];

/// The state of a session, one fact in each line.
const STATE: &str = "SELECT string_agg(name || ' = ' || coalesce(quote_literal(value), 'NULL'), E'\\n') FROM ( \
         SELECT name, concat_ws(' from ', setting, source) AS value FROM pg_settings \
         UNION ALL SELECT 'app.tenant', current_setting('app.tenant', true) \
         UNION ALL SELECT 'random seed kept', (random() = $random)::text \
         UNION ALL SELECT 'users', concat_ws(' ', session_user, current_user, current_setting('role')) \
         UNION ALL SELECT 'transaction', (now() <> statement_timestamp())::text \
         UNION ALL SELECT 'temporary schema', (pg_my_temp_schema() <> 0)::text \
         UNION ALL SELECT 'temporary', (SELECT count(*) FROM pg_class WHERE relpersistence = 't')::text \
         UNION ALL SELECT 'prepared', (SELECT count(*) FROM pg_prepared_statements)::text \
         UNION ALL SELECT 'cursors', (SELECT count(*) FROM pg_cursors WHERE name = 'leftover')::text \
         UNION ALL SELECT 'channels', (SELECT count(*) FROM pg_listening_channels())::text \
         UNION ALL SELECT 'locks', (SELECT count(*) FROM pg_locks \
             WHERE locktype = 'advisory' AND pid = pg_backend_pid())::text \
     ) AS facts (name, value)";

/// Statements whose success is a fact.
const PROBES: [&str; 2] = ["SET temp_buffers TO 300", "SELECT lastval()"];

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

/// The error of a statement.
fn error(session: &mut Conversation, sql: &str) -> Option<Message> {
    let answer = session.query(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    answer.into_iter().find(|message| message.tag == b'E')
}

#[track_caller]
fn run(session: &mut Conversation, sql: &str) {
    assert_eq!(error(session, sql), None, "{sql}");
}

/// Changes all settings that the user can change.
fn change_settings(session: &mut Conversation) {
    let strings = STRINGS.map(|(name, value)| format!("('{name}', '{value}')")).join(", ");
    let skipped = SKIPPED.map(|(name, _)| format!("'{name}'")).join(", ");
    let statements = SETTINGS.replace("$strings", &strings).replace("$skipped", &skipped);
    let statements = session.value(&statements).expect("a row");
    assert!(statements.lines().count() > 100, "{statements}");
    statements.lines().for_each(|statement| run(session, statement));
}

/// The facts about a session. `random` is the first random number after `setseed(0.5)`.
fn state(session: &mut Conversation, random: &str) -> BTreeSet<String> {
    let facts = session.value(&STATE.replace("$random", random)).expect("a row");
    let probed = PROBES.map(|probe| {
        let code = error(session, probe).map(|error| error.field(b'C'));
        format!("{probe} = {code:?}")
    });
    facts.lines().map(str::to_owned).chain(probed).collect()
}

/// The names of the facts that differ.
fn differing<'a>(one: &'a BTreeSet<String>, other: &'a BTreeSet<String>) -> BTreeSet<&'a str> {
    let facts = one.symmetric_difference(other);
    facts.map(|fact| fact.split_once(" = ").map_or(fact.as_str(), |(name, _)| name)).collect()
}

/// The titles of the differences that the documentation lists.
fn documented() -> Vec<&'static str> {
    let list = DOCUMENTATION.split_once("also differs from a new one:\n\n").expect("a list").1;
    let list = list.split_once("\n\n").expect("the end of the list").0;
    list.lines().filter_map(|line| Some(line.strip_prefix("- **")?.split_once("**")?.0)).collect()
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
fn reused_session_differs_from_a_new_one_only_as_documented() {
    assert_eq!(documented(), DIFFERENCES.map(|(title, _)| title));
    let launch = ServerBuilder::new(PROGRAM).engine(Engine::Postgres);
    let server = launch.env("OOTHECA_GATEWAY__POOL_IDLE_SECONDS", "60").boot();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    sql_user(&server, &cluster, "keeper");
    let wire = wire(&server, &cluster);
    // A session that stays open is not pooled.
    let (mut other, _) = open(&wire);
    run(&mut other, "SELECT setseed(0.5)");
    let random = other.value("SELECT random()").expect("a row");
    let (mut first, pid) = open(&wire);
    CHANGES.iter().for_each(|change| run(&mut first, change));
    change_settings(&mut first);
    run(&mut first, "SET ROLE admin");
    first.send(b'X', &[]).expect("sent");
    drop(first);
    let mut others = vec![other];
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
    let expected: BTreeSet<&str> = DIFFERENCES.iter().flat_map(|(_, facts)| *facts).copied().collect();
    assert_eq!(differing(&reused, &new), expected);
}
