//! How the clusters of a history are created: empty, as clones, or so that they expire.

use super::world::{CLIENT_TURNS, Subject, World};
use axum::http::Method;
use ootheca_model::{Cluster, ClusterState};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a cluster exists that expires, in seconds.
const LIFETIME: u64 = 3600;
/// The number of turns after which a creation goes on undisturbed. The step of a clone reads so much that at the highest
/// intensity it hardly ever succeeds.
const DISTURBED_TURNS: usize = 1_000;

impl World {
    pub(super) async fn create(&mut self, name: &str, standard: bool) {
        self.create_by(name, request(name, standard)).await;
    }

    /// Creates a cluster with three nodes.
    pub(super) async fn create_nodes(&mut self, name: &str) {
        let hardware = json!({ "machine_spec": { "num_virtual_cpus": 2 }, "storage_gib": 15 });
        let dedicated = json!({ "region_nodes": { "us-east1": 3 }, "hardware": hardware });
        let spec = json!({ "plan": "ADVANCED", "dedicated": dedicated });
        self.create_by(name, json!({ "name": name, "provider": "GCP", "spec": spec })).await;
        self.await_creation(self.subjects.len() - 1).await;
    }

    /// Creates a clone of the present data of a cluster.
    pub(super) async fn clone_cluster(&mut self, source: usize, name: &str) {
        self.await_creation(source).await;
        let Subject { id, limits, .. } = &self.subjects[source];
        let (id, limits) = (id.to_string(), limits.last().copied());
        let body = json!({ "name": name, "restore_from": { "source_cluster_id": id } });
        self.create_by(name, body).await;
        if let Some(clone) = self.subjects.last_mut() {
            clone.epoch = 1;
            clone.limits.extend(limits);
        }
        // Before, the deletion of its source would end its creation.
        self.await_creation(self.subjects.len() - 1).await;
    }

    /// Creates a cluster, and lets the time pass until it has expired.
    pub(super) async fn expire(&mut self, name: &str) {
        let now = self.loops.lifecycle.context.now();
        let mut body = request(name, false);
        body["expires_at"] = json!(now.after(Duration::from_secs(LIFETIME)));
        self.create_by(name, body).await;
        if let Some(subject) = self.subjects.last_mut() {
            (subject.deleted, subject.expires) = (true, true);
        }
        self.advance(LIFETIME + 1);
    }

    async fn create_by(&mut self, name: &str, body: Value) {
        let created = self.call(Method::POST, "/api/v1/clusters", Some(body)).await;
        let id = created["id"].as_str().and_then(|id| id.parse().ok()).expect("an ID");
        self.subjects.push(Subject {
            id,
            name: name.to_owned(),
            epoch: 0,
            deleted: false,
            expires: false,
            used: (0, 0),
            stored_mib: 0,
            lost: (0, 0),
            limits: Vec::new(),
        });
    }

    /// Lets the loops act until a cluster is created and its data is there.
    async fn await_creation(&mut self, cluster: usize) {
        let is_there =
            |stored: &Cluster| stored.state == ClusterState::Created && !stored.observed.is_data_missing();
        let (disturbed, mut turns) = (self.schedule.is_on(), 0);
        while !is_there(&self.stored(cluster).await) {
            if turns == CLIENT_TURNS {
                let law = format!("cluster {cluster} is not created within {CLIENT_TURNS} turns");
                self.schedule.violated(law);
                break;
            }
            if turns == DISTURBED_TURNS && disturbed {
                self.schedule.note(format!("undisturbed until cluster {cluster} is created"));
                self.schedule.switch(false);
            }
            self.act().await;
            turns += 1;
        }
        self.schedule.switch(disturbed);
    }
}

fn request(name: &str, standard: bool) -> Value {
    let (plan, limits) = match standard {
        true => ("STANDARD", json!({ "provisioned_virtual_cpus": "2" })),
        false => ("BASIC", json!({})),
    };
    let serverless = json!({ "regions": ["us-central1"], "usage_limits": limits });
    json!({ "name": name, "provider": "GCP", "spec": { "plan": plan, "serverless": serverless } })
}
