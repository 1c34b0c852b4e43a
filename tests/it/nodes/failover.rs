//! A cluster survives the loss of a node, and keeps its primary if only the control plane stops.

use super::{Cluster, LIMIT, NODES, zones};
use crate::support::{audit_log, id};
use ootheca_testkit::eventually_within;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Instant};

const CREATE: &str = "CREATE TABLE kept AS SELECT 7 AS n";
const READ: &str = "SELECT n FROM kept";

impl Cluster {
    /// Creates a table with a row, which must never be lost.
    fn keep_a_row(&self) {
        let mut session = self.wire().connect().expect("a connection").expect("a session");
        session.query(CREATE).expect("a table");
        assert_eq!(session.value(READ).as_deref(), Some("7"));
    }

    /// Waits until another node than `former` is the primary and all nodes are live. Returns it.
    fn when_replaced(&self, former: &str) -> String {
        eventually_within(LIMIT, "another node is the primary", || {
            let primary = self.when_live(NODES);
            (primary != former).then_some(primary)
        })
    }

    /// A metric of the cluster, by its name and further labels.
    fn metric(&self, name: &str, labels: &str) -> Option<String> {
        let answer = self.server.raw("GET", "/metrics").send();
        let text = String::from_utf8_lossy(&answer.bytes).into_owned();
        let series = match labels {
            "" => format!("{name} "),
            labels => format!("{name}{{cluster=\"{}\",name=\"several-nodes\"{labels}}} ", self.id),
        };
        text.lines().find_map(|line| line.strip_prefix(&series).map(str::to_owned))
    }

    /// The failovers in the audit log.
    fn failovers(&self) -> usize {
        let entries = audit_log(&self.server);
        let failover = |source: &Value, payload: &Value| {
            source == "AUDIT_LOG_SOURCE_INTERNAL" && payload.to_string().contains("previous_primary")
        };
        entries.iter().filter(|entry| failover(&entry["source"], &entry["payload"])).count()
    }
}

#[test]
fn a_new_cluster_has_three_live_nodes_in_three_zones() {
    let begun = Instant::now();
    let cluster = Cluster::create();
    println!("nodes: a server and a cluster with three nodes created in {:?}", begun.elapsed());
    assert_eq!(cluster.when_live(NODES), "n1");
    let zones: BTreeSet<String> = zones(&cluster.nodes()).into_iter().collect();
    assert_eq!(zones.len(), NODES, "{zones:?}");
    for node in ["n1", "n2", "n3"] {
        let labels = format!(",node=\"{node}\"");
        assert_eq!(cluster.metric("ootheca_node_live", &labels).as_deref(), Some("1"), "{node}");
    }
    assert_eq!(cluster.metric("ootheca_failovers_total", "").as_deref(), Some("0"));
    assert_eq!(cluster.failovers(), 0);
}

#[test]
fn a_killed_primary_is_replaced_without_losing_commits() {
    let cluster = Cluster::create();
    let primary = cluster.when_live(NODES);
    cluster.keep_a_row();
    cluster.kill(&primary);
    let begun = Instant::now();
    assert_eq!(cluster.value(READ), "7");
    println!("nodes: readable again after {:?}", begun.elapsed());
    let successor = cluster.when_replaced(&primary);
    println!("nodes: {primary} rejoined {successor} after {:?}", begun.elapsed());
    assert_eq!(cluster.value(READ), "7");
    assert_eq!(cluster.failovers(), 1);
    assert_eq!(cluster.metric("ootheca_failovers_total", "").as_deref(), Some("1"));
}

/// A standby that is being promoted accepts connections before it accepts writes.
#[test]
fn a_client_that_connects_during_a_failover_can_write() {
    let cluster = Cluster::create();
    cluster.when_live(NODES);
    cluster.keep_a_row();
    for added in 1..=4 {
        let primary = cluster.when_live(NODES);
        cluster.kill(&primary);
        let mut session = cluster.wire().connect().expect("a connection").expect("a session");
        session.query("INSERT INTO kept VALUES (1)").expect("the new primary accepts it");
        assert_eq!(session.value("SELECT sum(n) FROM kept"), Some((7 + added).to_string()));
        cluster.when_replaced(&primary);
    }
}

/// Copied data can be on a timeline whose history is not part of it, but standbys require that.
#[test]
fn a_clone_of_a_cluster_that_has_failed_over_gets_its_standbys() {
    let mut cluster = Cluster::create();
    let primary = cluster.when_live(NODES);
    cluster.keep_a_row();
    cluster.kill(&primary);
    cluster.when_replaced(&primary);
    let body = json!({ "name": "cloned-nodes", "restore_from": { "source_cluster_id": cluster.id } });
    cluster.id = id(cluster.server.post("/clusters", body).ok());
    cluster.server.when_created(&cluster.id);
    cluster.when_live(NODES);
}

#[test]
fn a_killed_standby_rejoins_without_a_failover() {
    let cluster = Cluster::create();
    let primary = cluster.when_live(NODES);
    cluster.keep_a_row();
    let standby = cluster.standby(&primary);
    cluster.kill(&standby);
    let mut session = cluster.wire().connect().expect("a connection").expect("a session");
    session.query("INSERT INTO kept VALUES (8)").expect("the other standby confirms it");
    assert_eq!(session.value("SELECT sum(n) FROM kept").as_deref(), Some("15"));
    assert_eq!(cluster.when_live(NODES), primary);
    assert_eq!(cluster.failovers(), 0);
}

#[test]
fn nodes_that_are_killed_together_start_again() {
    let cluster = Cluster::create();
    cluster.when_live(NODES);
    cluster.keep_a_row();
    for node in ["n1", "n2", "n3"] {
        cluster.kill(node);
    }
    assert_eq!(cluster.value(READ), "7");
    cluster.when_live(NODES);
    assert_eq!(cluster.value(READ), "7");
}

#[test]
fn a_failover_is_completed_after_a_crash_of_the_control_plane() {
    let mut cluster = Cluster::create();
    cluster.when_live(NODES);
    cluster.keep_a_row();
    for _ in 0..3 {
        let primary = cluster.when_live(NODES);
        cluster.kill(&primary);
        cluster.server.kill();
        cluster.server.start();
        assert_eq!(cluster.value(READ), "7");
    }
    cluster.when_live(NODES);
    assert_eq!(cluster.value(READ), "7");
}

#[test]
fn a_restart_of_the_control_plane_keeps_the_primary() {
    let mut cluster = Cluster::create();
    let primary = cluster.when_live(NODES);
    cluster.keep_a_row();
    cluster.server.restart();
    assert_eq!(cluster.when_live(NODES), primary);
    assert_eq!(cluster.value(READ), "7");
    cluster.server.kill();
    cluster.server.start();
    assert_eq!(cluster.when_live(NODES), primary);
    assert_eq!((cluster.value(READ).as_str(), cluster.failovers()), ("7", 0));
}

#[test]
fn nodes_are_added_and_removed_while_the_cluster_is_used() {
    let cluster = Cluster::create();
    cluster.when_live(NODES);
    cluster.keep_a_row();
    let mut session = cluster.wire().connect().expect("a connection").expect("a session");
    for count in [4, 3] {
        let body = json!({ "dedicated": { "region_nodes": { "us-east1": count } } });
        let path = format!("/clusters/{}", cluster.id);
        assert_eq!(cluster.server.patch(&path, body).ok()["state"], "LOCKED");
        cluster.server.when_created(&cluster.id);
        cluster.when_live(count);
        assert_eq!(session.value(READ).as_deref(), Some("7"), "the session is kept");
    }
    assert_eq!(cluster.failovers(), 0);
}
