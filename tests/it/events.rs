//! The stream of events: each event is sent once and in order, the stream continues after a restart, and each
//! caller only receives the events that it has access to.

use crate::{
    folders::folder,
    support::{PROGRAM, id, in_days, simulated, trace},
};
use ootheca_testkit::{Client, ServerBuilder, postgres::TemporaryPostgres};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

/// An event, and the cursor after it.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    cursor: String,
    pub(crate) data: Value,
}

impl Told {
    pub(crate) fn is(&self, kind: &str, id: &str, what: &str) -> bool {
        self.data["kind"] == kind && self.data["id"] == id && self.data["what"] == what
    }
}

/// An open stream.
pub(crate) struct Events {
    lines: std::io::Lines<BufReader<TcpStream>>,
    status: String,
    cursor: String,
}

impl Events {
    /// Opens a stream with the key of the client, and waits for its first message.
    #[track_caller]
    pub(crate) fn open(client: &Client, key: &str, path: &str, headers: &str) -> Self {
        let mut socket = TcpStream::connect(client.address()).expect("the server accepts");
        socket.set_read_timeout(Some(Duration::from_secs(40))).expect("a limit");
        // HTTP/1.0, so that the body is not chunked.
        let request =
            format!("GET /api/v1/events{path} HTTP/1.0\r\nauthorization: Bearer {key}\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).expect("the request is sent");
        let mut lines = BufReader::new(socket).lines();
        let status = lines.next().expect("a status line").expect("a status line");
        let mut this = Self { lines, status, cursor: String::new() };
        assert!(this.status.contains(" 200 "), "{}", this.status);
        while this.cursor.is_empty() {
            this.line().expect("the stream sends its cursor");
        }
        this
    }

    fn line(&mut self) -> Option<String> {
        let line = self.lines.next()?.expect("the stream continues");
        if let Some(cursor) = line.strip_prefix("id: ") {
            self.cursor = cursor.to_owned();
        }
        Some(line)
    }

    /// The next event; `None` at the end of the stream.
    fn next(&mut self) -> Option<Told> {
        loop {
            let line = self.line()?;
            if let Some(data) = line.strip_prefix("data: ") {
                let data = serde_json::from_str(data).expect("JSON");
                return Some(Told { cursor: self.cursor.clone(), data });
            }
        }
    }

    /// All events up to the one for which `last` returns true.
    #[track_caller]
    pub(crate) fn until(&mut self, last: impl Fn(&Told) -> bool) -> Vec<Told> {
        let mut all = Vec::new();
        loop {
            all.push(self.next().unwrap_or_else(|| panic!("the stream ended: {all:#?}")));
            if all.last().is_some_and(&last) {
                return all;
            }
        }
    }
}

pub(crate) fn count(events: &[Told], kind: &str, id: &str, what: &str) -> usize {
    events.iter().filter(|event| event.is(kind, id, what)).count()
}

#[test]
fn each_event_is_sent_once_in_order() {
    let server = simulated();
    let key = server.admin_key();
    let mut events = Events::open(&server, &key, "", "");
    let body = json!({ "name": "some-cluster", "provider": "GCP",
        "spec": { "plan": "BASIC", "serverless": { "regions": ["us-central1"] } } });
    let made = server.post("/clusters", body);
    let cluster = id(made.ok());
    server.when_created(&cluster);
    let changed = server.patch(&format!("/clusters/{cluster}"), json!({ "labels": { "a": "b" } }));
    changed.ok();
    let entry = json!({ "cidr_ip": "10.0.0.0", "cidr_mask": 8, "sql": true, "ui": true });
    server.post(&format!("/clusters/{cluster}/networking/allowlist"), entry).ok();
    server.post("/clusters", json!({ "name": "x" })).refused(400);
    server.delete(&format!("/clusters/{cluster}")).ok();
    let all = events.until(|event| event.is("cluster", &cluster, "deleted"));
    assert_eq!(count(&all, "cluster", &cluster, "created"), 1, "{all:#?}");
    let created = all.iter().find(|event| event.is("cluster", &cluster, "created")).expect("it was created");
    assert_eq!(created.data["trace_id"], trace(&made));
    assert_eq!(created.data["actor"]["kind"], "service_account");
    assert!(all.iter().any(|event| {
        event.is("cluster", &cluster, "changed") && event.data["trace_id"] == json!(trace(&changed))
    }));
    let entries = all.iter().filter(|event| event.data["kind"] == "allowlist_entry");
    assert!(
        entries.clone().count() >= 2 && entries.clone().all(|event| event.data["parent"] == json!(cluster))
    );
    let cursors: Vec<i64> = all.iter().map(|event| event.cursor.parse().expect("a number")).collect();
    assert!(cursors.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{cursors:?}");
}

#[test]
fn changes_of_blackout_windows_are_sent_to_callers_that_can_list_them() {
    let server = simulated();
    let cluster = id(&server.create_cluster("some-cluster", "ADVANCED"));
    let mut events = Events::open(&server, &server.admin_key(), "", "");
    let mut operator = Events::open(&server, &server.new_key(&["CLUSTER_OPERATOR_WRITER"]), "", "");
    let mut developer = Events::open(&server, &server.new_key(&["CLUSTER_DEVELOPER"]), "", "");
    let path = format!("/clusters/{cluster}/blackout-windows");
    let body = json!({ "start_time": in_days(8), "end_time": in_days(9) });
    let window = id(server.post(&path, body).ok());
    server.patch(&format!("{path}/{window}"), json!({ "end_time": in_days(10) })).ok();
    server.delete(&format!("/clusters/{cluster}")).ok();
    for events in [&mut events, &mut operator] {
        let all = events.until(|event| event.is("blackout_window", &window, "deleted"));
        let changes =
            ["created", "changed", "deleted"].map(|what| count(&all, "blackout_window", &window, what));
        assert_eq!(changes, [1, 1, 1], "{all:#?}");
        assert_eq!(all.last().expect("an event").data["parent"], json!(cluster));
    }
    // A later change of an object that the developer can read.
    let folder = server.post("/folders", json!({ "name": "later" })).text("/resource_id");
    let all = developer.until(|event| event.is("folder", &folder, "created"));
    assert!(all.iter().all(|event| event.data["kind"] != "blackout_window"), "{all:#?}");
}

#[test]
fn streams_continue_after_a_restart() {
    let mut server = simulated();
    let key = server.admin_key();
    let mut events = Events::open(&server, &key, "", "");
    let (first, _) = server.new_account("first", &[]);
    let seen = events.until(|event| event.is("service_account", &first, "created"));
    let cursor = seen.last().expect("an event").cursor.clone();
    let (second, _) = server.new_account("second", &[]);
    // The stream ends when the server drains.
    server.restart();
    while events.next().is_some() {}
    let (third, _) = server.new_account("third", &[]);
    // The header of a client that reconnects takes precedence over the cursor in the query.
    let header = format!("last-event-id: {cursor}\r\n");
    for (path, headers) in [(format!("?cursor={cursor}"), ""), ("?cursor=0".to_owned(), header.as_str())] {
        let mut events = Events::open(&server, &key, &path, headers);
        let mut all = events.until(|event| event.is("service_account", &third, "created"));
        assert_eq!(count(&all, "service_account", &first, "created"), 0, "{all:#?}");
        assert_eq!(count(&all, "service_account", &second, "created"), 1, "{all:#?}");
        server.patch(&format!("/service-accounts/{third}"), json!({ "name": "other" })).ok();
        all = events.until(|event| event.is("service_account", &third, "changed"));
        assert_eq!(count(&all, "service_account", &third, "created"), 0, "{all:#?}");
        server.patch(&format!("/service-accounts/{third}"), json!({ "name": "third" })).ok();
    }
}

#[test]
fn callers_receive_only_visible_events() {
    let server = simulated();
    let ours = id(&server.create_cluster("our-cluster", "BASIC"));
    let theirs = id(&server.create_cluster("their-cluster", "BASIC"));
    let (account, developer) = server.new_account("developer", &[&format!("CLUSTER_DEVELOPER@{ours}")]);
    let mut events = Events::open(&server, &developer, "?cursor=0", "");
    let mut all = Events::open(&server, &server.admin_key(), "?cursor=0", "");
    let members = server.new_key(&[]);
    let mut member = Events::open(&server, &members, "", "");
    for cluster in [&theirs, &ours] {
        server.patch(&format!("/clusters/{cluster}"), json!({ "labels": { "last": "1" } })).ok();
    }
    let patched = server.patch(&format!("/clusters/{ours}"), json!({ "labels": { "last": "2" } }));
    let is_last = |event: &Told| event.data["trace_id"] == json!(trace(&patched));
    let seen = events.until(is_last);
    assert!(count(&seen, "cluster", &ours, "created") == 1, "{seen:#?}");
    // A developer can also list the allowlist of its cluster, and every member can read the organization.
    let may_be_seen = |event: &Told| {
        [&event.data["id"], &event.data["parent"]].contains(&&json!(ours))
            || event.data["kind"] == "organization"
    };
    assert!(seen.iter().all(may_be_seen), "{seen:#?}");
    let everything = all.until(is_last);
    assert_eq!(count(&everything, "cluster", &theirs, "created"), 1);
    assert_eq!(count(&everything, "service_account", &account, "created"), 1);
    // A revoked key receives no more events, and its stream ends.
    let key = members.rsplit_once('_').expect("three parts").0.to_owned();
    server.delete(&format!("/api-keys/{key}")).ok();
    assert!(member.next().is_none(), "the caller has no access to these events");
}

#[test]
fn deletions_of_folders_are_sent_to_callers_with_access() {
    let server = simulated();
    let top = folder(&server, "top", "root");
    let (middle, other) = (folder(&server, "middle", &top), folder(&server, "other", "root"));
    let key = |folder: &str| server.new_key(&[&format!("FOLDER_ADMIN@FOLDER/{folder}")]);
    let inner = folder(&server, "inner", &middle);
    let mut above = Events::open(&server, &key(&top), "", "");
    let mut beside = Events::open(&server, &key(&other), "", "");
    for (round, gone) in [&inner, &middle].into_iter().enumerate() {
        server.delete(&format!("/folders/{gone}")).ok();
        server.patch(&format!("/folders/{top}"), json!({ "name": format!("top {round}") })).ok();
        let seen = above.until(|event| event.is("folder", &top, "changed"));
        assert_eq!(count(&seen, "folder", gone, "deleted"), 1, "{seen:#?}");
    }
    server.patch(&format!("/folders/{other}"), json!({ "name": "renamed" })).ok();
    let seen = beside.until(|event| event.is("folder", &other, "changed"));
    assert_eq!(seen.len(), 1, "no events of other folders: {seen:#?}");
}

#[test]
fn invalid_requests_return_errors_of_the_api() {
    let server = ServerBuilder::new(PROGRAM).arg("--test-clock").boot();
    let (account, _) = server.new_account("someone", &[]);
    server.anonymous().get("/events").refused(401);
    for cursor in ["x", "-1", "1000000"] {
        server.get(&format!("/events?cursor={cursor}")).refused(400);
    }
    server.with_version("2020-02-02").get("/events").refused(400);
    server.post("/events", json!({})).refused(405);
    let clock = "/api/ootheca/v1/clock";
    server.raw("POST", clock).json(&json!({ "advance_seconds": 8 * 24 * 3600 })).send().ok();
    server.patch(&format!("/service-accounts/{account}"), json!({ "name": "other" })).ok();
    let gone = ootheca_testkit::eventually("old events are removed", || {
        let probe = Events::status(&server, &server.admin_key(), "?cursor=0");
        probe.contains(" 410 ").then(|| server.get("/events?cursor=0"))
    });
    assert!(gone.refused(410).contains("7 days"), "{gone}");
    let mut events = Events::open(&server, &server.admin_key(), "", "");
    server.patch(&format!("/service-accounts/{account}"), json!({ "name": "again" })).ok();
    assert!(events.next().is_some_and(|event| event.is("service_account", &account, "changed")));
}

#[test]
fn events_of_other_servers_are_sent() {
    let postgres = TemporaryPostgres::start();
    let server = ServerBuilder::new(PROGRAM).store(&postgres.url()).boot();
    let mut events = Events::open(&server, &server.admin_key(), "", "");
    let (account, _) = server.new_account("someone", &[]);
    events.until(|event| event.is("service_account", &account, "created"));
}

impl Events {
    /// The status line of an attempt.
    fn status(client: &Client, key: &str, path: &str) -> String {
        let mut socket = TcpStream::connect(client.address()).expect("the server accepts");
        let request = format!("GET /api/v1/events{path} HTTP/1.0\r\nauthorization: Bearer {key}\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("the request is sent");
        BufReader::new(socket).lines().next().expect("a status line").expect("a status line")
    }
}
