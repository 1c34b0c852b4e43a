//! ADVANCED clusters with several nodes that are real SQL servers.

mod failover;
mod writer;

use crate::{
    restores::objects::allow_all,
    support::{PASSWORD, PROGRAM, column, id, sql_user},
};
use ootheca_testkit::{Engine, Ootheca, ServerBuilder, eventually_within, processes, wire::Wire};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// The number of nodes of a new cluster.
const NODES: usize = 3;
/// More than the nodes need to be live again, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A cluster with several nodes, and its server.
struct Cluster {
    server: Ootheca,
    id: String,
    routing_id: String,
}

impl Cluster {
    /// A cluster with three nodes whose SQL user `keeper` can log in.
    fn create() -> Self {
        let server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).boot();
        let hardware = json!({ "machine_spec": { "num_virtual_cpus": 2 }, "storage_gib": 15 });
        let spec = json!({ "plan": "ADVANCED", "dedicated": {
            "region_nodes": { "us-east1": NODES }, "hardware": hardware,
        }});
        let created =
            server.post("/clusters", json!({ "name": "several-nodes", "provider": "GCP", "spec": spec }));
        let id = id(created.ok());
        server.when_created(&id);
        sql_user(&server, &id, "keeper");
        allow_all(&server, &id);
        let string = server.connection_string(&id, "keeper");
        let (_, routing_id) = string.split_once("--cluster%3D").expect("a routing ID");
        let routing_id = routing_id.split('&').next().unwrap_or_default().to_owned();
        Self { server, id, routing_id }
    }

    /// A client that logs in as `keeper`.
    fn wire(&self) -> Wire {
        let wire = Wire::new(self.server.sql_address(), &self.server.authority());
        let wire = wire.with("user", "keeper").password(PASSWORD).with("database", "defaultdb");
        wire.with("options", &format!("--cluster={}", self.routing_id))
    }

    /// The first value of a query in a new session, once one can be opened.
    fn value(&self, sql: &str) -> String {
        eventually_within(LIMIT, sql, || self.wire().connect().ok()?.ok()?.value(sql))
    }

    /// What the API shows of the nodes.
    fn nodes(&self) -> Vec<Value> {
        let answer = self.server.get(&format!("/clusters/{}/nodes", self.id));
        answer.ok()["nodes"].as_array().expect("a list").clone()
    }

    /// Waits until this number of nodes is LIVE and no operation is in progress. Returns the name of the primary.
    fn when_live(&self, count: usize) -> String {
        eventually_within(LIMIT, "all nodes are LIVE", || {
            let nodes = self.nodes();
            let are_live = nodes.len() == count && nodes.iter().all(|node| node["status"] == "LIVE");
            let (mut primaries, standbys): (Vec<Value>, Vec<Value>) =
                nodes.into_iter().partition(|node| node["ootheca"]["role"] == "PRIMARY");
            let is_led = primaries.len() == 1
                && standbys.iter().all(|standby| standby["ootheca"]["role"] == "STANDBY");
            (are_live && is_led).then(|| number(&primaries.remove(0)))
        })
    }

    /// A node that is not the primary.
    fn standby(&self, primary: &str) -> String {
        let names = self.nodes().iter().map(number).find(|name| name != primary);
        names.expect("a standby")
    }

    /// The directory of a node.
    fn folder(&self, node: &str) -> PathBuf {
        let instances = self.server.data_dir().join("engine/instances");
        let folders = fs::read_dir(&instances).expect("the instances").flatten().map(|entry| entry.path());
        let mut folders = folders.filter(|folder| self.is_node(folder, node));
        folders.next().unwrap_or_else(|| panic!("{node} has no directory in {}", instances.display()))
    }

    fn is_node(&self, folder: &Path, node: &str) -> bool {
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        read("cluster").trim() == self.id && read("epoch").split_whitespace().nth(1) == Some(node)
    }

    /// Kills the main process of a node.
    fn kill(&self, node: &str) {
        let lock = fs::read_to_string(self.folder(node).join("data/postmaster.pid")).expect("a lock file");
        let pid = lock.lines().next().and_then(|line| line.trim().parse().ok()).expect("a process ID");
        processes::kill(pid);
    }

    /// Stops all processes of a node with SIGSTOP, so that it does not respond.
    fn pause(&self, node: &str) {
        for process in processes::within(&self.folder(node)) {
            processes::pause(process.pid);
        }
    }
}

/// The number of a node in the API, such as `n1`.
fn number(node: &Value) -> String {
    let name = node["name"].as_str().expect("a name");
    name.rsplit('-').next().unwrap_or_default().to_owned()
}

/// The zones of nodes.
fn zones(nodes: &[Value]) -> Vec<String> {
    let extensions: Vec<Value> = nodes.iter().map(|node| node["ootheca"].clone()).collect();
    column(&json!(extensions), "zone")
}
