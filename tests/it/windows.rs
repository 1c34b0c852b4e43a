//! Maintenance windows, version deferral, and blackout windows. They are recorded; patches are not applied yet, so
//! nothing is scheduled by them.

use crate::support::{
    PASSWORD, PROGRAM, advance, after, audit_log, column, id, in_days, real, simulated, sql_user,
};
use ootheca_model::Timestamp;
use ootheca_testkit::{Ootheca, ServerBuilder};
use rusqlite::Connection;
use serde_json::{Value, json};

/// In seconds.
const DAY: u64 = 24 * 3600;

const POLICIES: [&str; 5] =
    ["DEFERRAL_30_DAYS", "DEFERRAL_60_DAYS", "DEFERRAL_90_DAYS", "FIXED_DEFERRAL", "NOT_DEFERRED"];

/// Creates a cluster, and returns its path.
fn create(server: &Ootheca, name: &str, plan: &str) -> String {
    format!("/clusters/{}", id(&server.create_cluster(name, plan)))
}

fn window(offset: &str, length: &str) -> Value {
    json!({ "offset_duration": offset, "window_duration": length })
}

fn deferral(policy: &str) -> Value {
    json!({ "deferral_policy": policy })
}

fn times(start: &str, end: &str) -> Value {
    json!({ "start_time": start, "end_time": end })
}

/// A time in whole seconds, as responses contain it.
fn shown(time: &str) -> String {
    time.replace('Z', ".000000Z")
}

fn blackout(cluster: &str, id: &str, start: &str, end: &str) -> Value {
    let cluster = cluster.trim_start_matches("/clusters/");
    json!({ "id": id, "cluster_id": cluster, "start_time": shown(start), "end_time": shown(end) })
}

#[test]
fn a_maintenance_window_is_set_replaced_and_deleted() {
    let mut server = simulated();
    let cluster = create(&server, "some-cluster", "ADVANCED");
    let path = format!("{cluster}/maintenance-window");
    assert_eq!(server.get(&path).refused(404), "maintenance window does not exist");
    assert_eq!(server.delete(&path).refused(404), "maintenance window does not exist");
    for (offset, length) in
        [("172800s", "21600s"), ("1010s", "101010s"), ("0s", "604799s"), ("604799s", "21600s")]
    {
        let expected = window(offset, length);
        assert_eq!(*server.put(&path, expected.clone()).ok(), expected, "the response is the request");
        assert_eq!(*server.get(&path).ok(), expected);
    }
    let last = window("604799s", "21600s");
    let before = server.get(&cluster);
    assert_eq!(before.ok()["state"], "CREATED", "the cluster is not locked");
    let same = json!({ "offsetDuration": "604799s", "windowDuration": "21600s", "unknown": 1 });
    assert_eq!(*server.put(&path, same).ok(), last);
    assert_eq!(server.get(&cluster).ok()["updated_at"], before.body["updated_at"], "nothing was changed");
    server.restart();
    assert_eq!(*server.get(&path).ok(), last, "after a restart");
    server.kill();
    server.start();
    assert_eq!(*server.delete(&path).ok(), last, "the response is the window that was deleted");
    server.get(&path).refused(404);
    server.delete(&path).refused(404);
}

#[test]
fn refusals_of_maintenance_windows_name_the_field_and_the_rule() {
    let server = simulated();
    let path = format!("{}/maintenance-window", create(&server, "some-cluster", "ADVANCED"));
    let offset = "invalid argument: offset_duration: must be whole seconds such as 172800s, from 0s (Monday, 00:00 UTC) to 604799s";
    let length = "invalid argument: window_duration: must be whole seconds such as 21600s, from 21600s (6 hours) to 604799s";
    let cases = [
        (window("604800s", "21600s"), offset),
        (window("-1s", "21600s"), offset),
        (window("48h", "21600s"), offset),
        (window("172800", "21600s"), offset),
        (window("1.5s", "21600s"), offset),
        (window("", ""), offset),
        (window("0s", "21599s"), length),
        (window("0s", "604800s"), length),
        (window("0s", "021600s"), length),
        (json!({ "window_duration": "21600s" }), "invalid argument: offset_duration: is required"),
        (json!({ "offset_duration": "0s" }), "invalid argument: window_duration: is required"),
        (json!({}), "invalid argument: offset_duration: is required"),
    ];
    for (body, message) in cases {
        let answer = server.put(&path, body.clone());
        assert_eq!(answer.refused(400), message, "{body}");
        assert_eq!(answer.body["code"], 3, "{answer}");
    }
    let number = server.put(&path, json!({ "offset_duration": 0, "window_duration": "21600s" }));
    assert!(number.refused(400).contains("offset_duration"), "{number}");
    server.get(&path).refused(404);
}

#[test]
fn a_deferral_is_set_and_shown_as_it_was_set() {
    let mut server = simulated();
    let cluster = create(&server, "some-cluster", "ADVANCED");
    let path = format!("{cluster}/version-deferral");
    assert_eq!(*server.get(&path).ok(), deferral("NOT_DEFERRED"));
    for policy in POLICIES {
        assert_eq!(*server.put(&path, deferral(policy)).ok(), deferral(policy));
        assert_eq!(*server.get(&path).ok(), deferral(policy), "nothing is pending, so no time is shown");
    }
    for ignored in [json!("2026-12-15T00:00:00Z"), json!("never"), json!(1), Value::Null] {
        let body = json!({ "deferral_policy": "DEFERRAL_60_DAYS", "deferred_until": ignored });
        assert_eq!(*server.put(&path, body).ok(), deferral("DEFERRAL_60_DAYS"));
    }
    server.restart();
    assert_eq!(*server.get(&path).ok(), deferral("DEFERRAL_60_DAYS"), "after a restart");
    assert_eq!(server.put(&path, json!({})).refused(400), "invalid argument: deferral_policy: is required");
    for wrong in [json!("DEFERRAL_45_DAYS"), json!("60"), json!(60)] {
        let answer = server.put(&path, json!({ "deferral_policy": wrong }));
        assert!(answer.refused(400).contains("deferral_policy"), "{answer}");
    }
    assert_eq!(*server.get(&path).ok(), deferral("DEFERRAL_60_DAYS"), "nothing was changed");
}

#[test]
fn a_blackout_window_is_created_updated_and_deleted() {
    let mut server = simulated();
    let cluster = create(&server, "some-cluster", "ADVANCED");
    let list = format!("{cluster}/blackout-windows");
    assert_eq!(server.get(&list).ok()["blackout_windows"], json!([]));
    let (start, end) = (in_days(8), in_days(10));
    let created = server.post(&list, times(&start, &end));
    let window = id(created.ok());
    assert_eq!(*created.ok(), blackout(&cluster, &window, &start, &end));
    let path = format!("{list}/{window}");
    assert_eq!(server.get(&path).ok(), created.ok());
    assert_eq!(server.get(&format!("{list}/{}", window.to_uppercase())).ok(), created.ok());
    assert_eq!(server.get(&list).ok()["blackout_windows"], json!([created.body]));

    let later = in_days(12);
    let changed = server.patch(&path, json!({ "end_time": later }));
    assert_eq!(*changed.ok(), blackout(&cluster, &window, &start, &later));
    let from = in_days(9);
    let changed = server.patch(&path, json!({ "startTime": from, "end_time": null }));
    assert_eq!(*changed.ok(), blackout(&cluster, &window, &from, &later));
    for nothing in [json!({}), json!({ "cluster_id": "other", "blackout_window_id": "other" })] {
        assert_eq!(server.patch(&path, nothing).ok(), changed.ok());
    }
    let both = server.patch(&path, times(&start, &end));
    assert_eq!(*both.ok(), blackout(&cluster, &window, &start, &end));
    server.restart();
    assert_eq!(server.get(&path).ok(), both.ok(), "after a restart");
    assert_eq!(server.delete(&path).ok(), both.ok(), "the response is the window that was deleted");
    assert_eq!(server.get(&list).ok()["blackout_windows"], json!([]));
    for path in [path.as_str(), &format!("{list}/no-id")] {
        assert_eq!(server.get(path).refused(404), "blackout window does not exist");
        assert_eq!(server.patch(path, json!({})).refused(404), "blackout window does not exist");
        assert_eq!(server.delete(path).refused(404), "blackout window does not exist");
    }
}

#[test]
fn times_are_shown_in_utc_and_keep_their_precision() {
    let server = simulated();
    let list = format!("{}/blackout-windows", create(&server, "some-cluster", "ADVANCED"));
    let (start, end) = (in_days(8), in_days(9));
    let body = times(&start.replace('Z', "+00:00"), &end.replace('Z', ".25Z"));
    let created = server.post(&list, body);
    assert_eq!(created.ok()["start_time"], shown(&start));
    assert_eq!(created.body["end_time"], end.replace('Z', ".250000Z"));
    let elsewhere = server.post(&list, times(&start.replace('Z', "-01:00"), &end));
    let expected = after(start.parse().expect("a time"), 3600);
    assert_eq!(elsewhere.ok()["start_time"], shown(&expected), "an hour later in UTC");
}

#[test]
fn refusals_of_blackout_windows_name_the_field_and_the_rule() {
    let server = simulated();
    let list = format!("{}/blackout-windows", create(&server, "some-cluster", "ADVANCED"));
    let notice = "invalid argument: start_time: must be at least 7 days from now";
    let order = "invalid argument: end_time: must be after start_time";
    let length = "invalid argument: end_time: must be at most 14 days after start_time";
    let months = "invalid argument: end_time: must be at most 3 months from now";
    let start = in_days(8);
    let seconds = |seconds| after(start.parse().expect("a time"), seconds);
    let rules = [
        (times(&in_days(6), &in_days(8)), notice),
        (times("2025-10-15T00:00:00Z", "2025-10-15T06:00:00Z"), notice),
        (times(&start, &start), order),
        (times(&in_days(10), &start), order),
        (times(&start, &seconds(14 * DAY + 1)), length),
        (times(&in_days(90), &in_days(93)), months),
    ];
    let created = server.post(&list, times(&start, &seconds(14 * DAY)));
    let path = format!("{list}/{}", id(created.ok()));
    for (body, message) in rules {
        for answer in [server.post(&list, body.clone()), server.patch(&path, body.clone())] {
            assert_eq!(answer.refused(400), message, "{body}");
            assert_eq!(answer.body["code"], 3, "{answer}");
        }
    }
    for (body, field) in
        [(json!({ "end_time": start }), "start_time"), (json!({ "start_time": start }), "end_time")]
    {
        let answer = server.post(&list, body);
        assert_eq!(answer.refused(400), format!("invalid argument: {field}: is required"));
    }
    for (body, field) in [
        (json!({ "start_time": "soon", "end_time": start }), "start_time"),
        (json!({ "start_time": start, "end_time": 1 }), "end_time"),
    ] {
        let answer = server.post(&list, body);
        assert!(answer.refused(400).contains(&format!("{field}: ")), "{answer}");
    }
    assert_eq!(server.get(&list).ok()["blackout_windows"], json!([created.body]), "nothing was changed");
}

#[test]
fn only_the_end_of_a_blackout_window_that_has_started_can_be_changed() {
    let server = ServerBuilder::new(PROGRAM).arg("--test-clock").boot();
    let list = format!("{}/blackout-windows", create(&server, "some-cluster", "ADVANCED"));
    let now: Timestamp = advance(&server, 0).parse().expect("a time");
    let at = |days: u64| after(now, days * DAY);
    let created = server.post(&list, times(&at(8), &at(10)));
    let path = format!("{list}/{}", id(created.ok()));
    advance(&server, 9 * 24 * 3600);
    assert_eq!(server.get(&path).ok(), created.ok());
    let refused = server.patch(&path, json!({ "start_time": at(9) }));
    assert_eq!(refused.refused(400), "invalid argument: start_time: must be at least 7 days from now");
    let past = server.patch(&path, json!({ "end_time": after(now, 8 * DAY + 3600) }));
    assert_eq!(past.refused(400), "invalid argument: end_time: must be in the future");
    let longer = server.patch(&path, times(&at(8), &at(22)));
    assert_eq!(longer.ok()["end_time"], shown(&at(22)), "the start is the same");
    advance(&server, 13 * 24 * 3600);
    let ended = server.patch(&path, json!({ "end_time": at(23) }));
    let message = "blackout window has ended and can't be changed; create another one";
    assert_eq!(ended.refused(400), message);
    assert_eq!(ended.body["code"], 9, "{ended}");
    assert_eq!(server.patch(&path, json!({})).ok(), longer.ok(), "nothing changes");
    assert_eq!(server.get(&list).ok()["blackout_windows"], json!([longer.body]), "it is still listed");
    assert_eq!(server.delete(&path).ok(), longer.ok());
}

#[test]
fn blackout_windows_can_overlap_and_are_listed_by_their_start() {
    let server = simulated();
    let list = format!("{}/blackout-windows", create(&server, "some-cluster", "ADVANCED"));
    let starts = [9, 11, 8, 10, 9].map(in_days);
    let end = in_days(20);
    for start in &starts {
        server.post(&list, times(start, &end)).ok();
    }
    let mut sorted = starts.map(|start| shown(&start));
    sorted.sort_unstable();
    let page = |query: &str| {
        let answer = server.get(&format!("{list}{query}"));
        (column(&answer.ok()["blackout_windows"], "start_time"), answer.text("/pagination/next_page"))
    };
    assert_eq!(page(""), (sorted.to_vec(), String::new()));
    sorted.reverse();
    let mut seen = Vec::new();
    let mut query = "?pagination.limit=2&pagination.sort_order=DESC".to_owned();
    for last in [false, false, true] {
        let (some, next) = page(&query);
        seen.extend(some);
        assert_eq!(next.is_empty(), last);
        query = format!("?pagination.limit=2&pagination.page={next}&pagination.sort_order=DESC");
    }
    assert_eq!(seen, sorted);
}

#[test]
fn clusters_with_other_plans_have_no_windows_and_no_deferral() {
    let server = simulated();
    for (name, plan) in [("one-basic", "BASIC"), ("one-standard", "STANDARD")] {
        let cluster = create(&server, name, plan);
        let at = |rest: &str| format!("{cluster}/{rest}");
        let set = server.put(&at("maintenance-window"), window("172800s", "21600s"));
        assert_eq!(set.refused(400), "maintenance windows are supported for advanced clusters only");
        assert_eq!(set.body["code"], 9, "{set}");
        server.get(&at("maintenance-window")).refused(404);
        server.delete(&at("maintenance-window")).refused(404);
        for policy in POLICIES {
            let set = server.put(&at("version-deferral"), deferral(policy));
            assert_eq!(set.refused(400), "version deferral is supported for advanced clusters only");
        }
        assert_eq!(*server.get(&at("version-deferral")).ok(), deferral("NOT_DEFERRED"));
        let created = server.post(&at("blackout-windows"), times(&in_days(8), &in_days(9)));
        let message = "invalid argument: blackout windows are supported for advanced clusters only";
        assert_eq!(created.refused(400), message);
        assert_eq!(created.body["code"], 3, "{created}");
        assert_eq!(server.get(&at("blackout-windows")).ok()["blackout_windows"], json!([]));
    }
}

#[test]
fn windows_belong_to_one_cluster_and_are_deleted_with_it() {
    let server = simulated();
    let [cluster, other] = ["some-cluster", "other-cluster"].map(|name| create(&server, name, "ADVANCED"));
    let body = times(&in_days(8), &in_days(9));
    let [first, second] = [&cluster, &other]
        .map(|path| id(server.post(&format!("{path}/blackout-windows"), body.clone()).ok()));
    let path = format!("{other}/blackout-windows/{first}");
    assert_eq!(server.get(&path).refused(404), "blackout window does not exist");
    server.patch(&path, json!({ "end_time": in_days(10) })).refused(404);
    server.delete(&path).refused(404);
    server.put(&format!("{cluster}/maintenance-window"), window("0s", "21600s")).ok();
    server.get(&format!("{other}/maintenance-window")).refused(404);
    server.put(&format!("{cluster}/version-deferral"), deferral("DEFERRAL_90_DAYS")).ok();
    assert_eq!(*server.get(&format!("{other}/version-deferral")).ok(), deferral("NOT_DEFERRED"));

    server.delete(&cluster).ok();
    for rest in ["maintenance-window", "version-deferral", "blackout-windows"] {
        let path = format!("{cluster}/{rest}");
        assert_eq!(server.get(&path).refused(404), "cluster does not exist");
    }
    let answers = [
        server.put(&format!("{cluster}/maintenance-window"), window("0s", "21600s")),
        server.delete(&format!("{cluster}/maintenance-window")),
        server.put(&format!("{cluster}/version-deferral"), deferral("NOT_DEFERRED")),
        server.post(&format!("{cluster}/blackout-windows"), body),
        server.get(&format!("{cluster}/blackout-windows/{first}")),
        server.delete(&format!("{cluster}/blackout-windows/{first}")),
    ];
    for answer in answers {
        assert_eq!(answer.refused(404), "cluster does not exist", "{answer}");
    }
    let store = Connection::open(server.data_dir().join("store.db")).expect("the store");
    let query = "SELECT group_concat(id) FROM entries WHERE kind = 'blackout_window'";
    let left: String = store.query_row(query, [], |row| row.get(0)).expect("a row");
    assert_eq!(left, second, "only the window of the other cluster is left");
}

#[test]
fn a_change_does_not_affect_the_running_cluster() {
    let server = real();
    let cluster = create(&server, "some-cluster", "ADVANCED");
    let name = cluster.trim_start_matches("/clusters/");
    sql_user(&server, name, "keeper");
    let entry = json!({ "cidr_ip": "127.0.0.1", "cidr_mask": 32, "sql": true, "ui": false });
    server.post(&format!("{cluster}/networking/allowlist"), entry).ok();
    let postmaster = server.postmaster(name);
    // Strings of ADVANCED clusters name a file for the certificate. Without it, psql uses its default.
    let string = server.connection_string(name, "keeper");
    let parts: Vec<&str> = string.split('&').filter(|part| !part.starts_with("sslrootcert=")).collect();
    let mut session = server.session_at(&parts.join("&"), PASSWORD);
    server.put(&format!("{cluster}/maintenance-window"), window("0s", "604799s")).ok();
    server.put(&format!("{cluster}/version-deferral"), deferral("DEFERRAL_30_DAYS")).ok();
    server.post(&format!("{cluster}/blackout-windows"), times(&in_days(8), &in_days(9))).ok();
    assert_eq!(session.run("SELECT 1").expect("the session is still open"), "1");
    assert_eq!(server.postmaster(name), postmaster, "the server was not restarted");
}

#[test]
fn every_version_has_the_same_format() {
    let server = simulated();
    let cluster = create(&server, "some-cluster", "ADVANCED");
    let at = |rest: &str| format!("{cluster}/{rest}");
    let client = server.unversioned();
    client.put(&at("maintenance-window"), window("172800s", "21600s")).ok();
    client.put(&at("version-deferral"), deferral("DEFERRAL_30_DAYS")).ok();
    let created = client.post(&at("blackout-windows"), times(&in_days(8), &in_days(9)));
    let created = created.ok();
    for version in ["2022-03-31", "2022-09-20", "2023-04-10", "2024-09-16", "2026-09-15", "latest"] {
        let client = server.with_version(version);
        assert_eq!(*client.get(&at("maintenance-window")).ok(), window("172800s", "21600s"), "{version}");
        assert_eq!(*client.get(&at("version-deferral")).ok(), deferral("DEFERRAL_30_DAYS"), "{version}");
        let listed = client.get(&at("blackout-windows"));
        assert_eq!(listed.ok()["blackout_windows"], json!([created]), "{version}");
    }
}

#[test]
fn changes_are_in_the_audit_log() {
    let server = simulated();
    let cluster = create(&server, "some-cluster", "ADVANCED");
    let at = |rest: &str| format!("{cluster}/{rest}");
    let auditor = server.with_key(&server.new_key(&["AUDITOR"]));
    for rest in ["version-deferral", "blackout-windows"] {
        auditor.get(&at(rest)).ok();
    }
    let entries = audit_log(&server).len();
    auditor.put(&at("maintenance-window"), window("0s", "21600s")).refused(403);
    server.put(&at("maintenance-window"), window("0s", "1s")).refused(400);
    server.put(&at("maintenance-window"), window("0s", "21600s")).ok();
    server.delete(&at("maintenance-window")).ok();
    server.put(&at("version-deferral"), deferral("DEFERRAL_30_DAYS")).ok();
    let created = server.post(&at("blackout-windows"), times(&in_days(8), &in_days(9)));
    let path = at(&format!("blackout-windows/{}", id(created.ok())));
    server.patch(&path, json!({ "end_time": in_days(10) })).ok();
    server.delete(&path).ok();
    let log = audit_log(&server);
    let new = &log[entries..];
    let expected = [
        ("SET_CLUSTER_MAINTENANCE_WINDOW", true),
        ("SET_CLUSTER_MAINTENANCE_WINDOW", true),
        ("SET_CLUSTER_MAINTENANCE_WINDOW", false),
        ("DELETE_CLUSTER_MAINTENANCE_WINDOW", false),
        ("UPDATE_CLUSTER_VERSION_UPGRADE_DEFERRAL", false),
        ("CREATE_CLUSTER_BLACKOUT_WINDOW", false),
        ("UPDATE_CLUSTER_BLACKOUT_WINDOW", false),
        ("DELETE_CLUSTER_BLACKOUT_WINDOW", false),
    ];
    assert_eq!(new.len(), expected.len(), "{new:#?}");
    for (entry, (action, failed)) in new.iter().zip(expected) {
        assert_eq!(entry["action"], format!("AUDIT_LOG_ACTION_{action}"));
        assert_eq!(entry["error"].is_string(), failed, "{entry}");
        let named = entry["cluster_id"] == cluster.trim_start_matches("/clusters/");
        assert!(named || failed, "{entry}");
    }
}
