//! Adds and removes nodes, and changes the quorum accordingly.

use super::{Primary, RETRY, Work, is_live, rejoin::Attempt};
use crate::lifecycle::reconcile::step::Step;
use ootheca_model::{
    Cluster, ClusterState, Error, ErrorKind, Result,
    instance::{Observed, Removal},
    node::{NodeId, NodeSpec, NodeStage, Operation, quorum_of},
};
use std::time::Duration;

impl Work<'_> {
    /// Takes the next step toward the nodes of the row; `None` if nothing is left to do. Nodes join before others leave.
    pub(super) async fn scale(&self, observed: &Observed) -> Result<Option<Step>> {
        if let Some(step) = self.apply_quorum().await? {
            return Ok(Some(step));
        }
        if let Some(step) = self.join(observed).await? {
            return Ok(Some(step));
        }
        if let Some(step) = self.adjust_quorum().await? {
            return Ok(Some(step));
        }
        if let Some(step) = self.leave(observed).await? {
            return Ok(Some(step));
        }
        self.finish().await
    }

    /// Completes a change of the quorum. Until then, both quorums count.
    async fn apply_quorum(&self) -> Result<Option<Step>> {
        let cluster = self.cluster();
        let Some(next) = &cluster.next_quorum else { return Ok(None) };
        if !self.engine().apply_quorum(&self.plan).await? {
            return Ok(Some(Step::Again(RETRY)));
        }
        let after = Cluster { quorum: Some(next.clone()), next_quorum: None, ..cluster.clone() };
        self.commit(&after, Vec::new()).await.map(Some)
    }

    /// Builds the nodes that join. Once all of them stream, they are members.
    async fn join(&self, observed: &Observed) -> Result<Option<Step>> {
        let cluster = self.cluster();
        let mut wait: Option<Duration> = None;
        for node in cluster.nodes.iter().filter(|node| node.stage == NodeStage::Joining) {
            match self.follow(observed, node.id).await {
                Ok(Attempt::Streams) => {}
                Ok(Attempt::Later(after)) => wait = Some(wait.map_or(after, |wait| wait.min(after))),
                Err(error) => return self.not_joined(error).await.map(Some),
            }
        }
        if wait.is_some() || !cluster.nodes.iter().any(|node| node.stage == NodeStage::Joining) {
            return Ok(wait.map(Step::Again));
        }
        let admit = |node: &NodeSpec| match node.stage {
            NodeStage::Joining => NodeSpec { stage: NodeStage::Member, ..node.clone() },
            NodeStage::Member | NodeStage::Leaving => node.clone(),
        };
        let nodes: Vec<NodeSpec> = cluster.nodes.iter().map(admit).collect();
        self.change_nodes(nodes).await.map(Some)
    }

    /// Reports that a node can't join. Attempts go on, but the cluster is no longer LOCKED.
    async fn not_joined(&self, error: Error) -> Result<Step> {
        let cluster = self.cluster();
        if cluster.state == ClusterState::Creating && error.kind() != ErrorKind::Stale {
            return Ok(Step::NotAchieved(error));
        }
        let is_final = matches!(error.kind(), ErrorKind::Precondition | ErrorKind::Internal);
        let runs = |operation: &Operation| is_final && operation.failure.is_none();
        let Some(operation) = cluster.operation.clone().filter(runs) else { return Err(error) };
        tracing::error!(cluster = %cluster.id, error = error.chain(), "nodes not added");
        let failure = match error.kind() {
            ErrorKind::Internal => "a node could not be added; see the log".to_owned(),
            _ => error.message().to_owned(),
        };
        let operation = Some(Operation { failure: Some(failure), ..operation });
        let after = Cluster { operation, state: unlocked(cluster.state), ..cluster.clone() };
        self.commit(&after, Vec::new()).await
    }

    /// Begins to change the quorum to that of the members.
    async fn adjust_quorum(&self) -> Result<Option<Step>> {
        let cluster = self.cluster();
        let wanted = quorum_of(&cluster.nodes, cluster.leadership.primary);
        if wanted.is_none() || wanted == cluster.quorum {
            return Ok(None);
        }
        self.change_nodes(cluster.nodes.clone()).await.map(Some)
    }

    /// Removes nodes that leave. They are in no quorum.
    async fn leave(&self, observed: &Observed) -> Result<Option<Step>> {
        let cluster = self.cluster();
        let counts = |node| cluster.quorum.as_ref().is_some_and(|quorum| quorum.standbys.contains(&node));
        let primary = cluster.leadership.primary;
        let mut leaving = cluster.nodes.iter().filter(|node| node.stage == NodeStage::Leaving);
        if let Some(node) = leaving.clone().find(|node| node.id != primary && !counts(node.id)) {
            return self.remove(node.id).await.map(Some);
        }
        if !leaving.any(|node| node.id == primary) {
            return Ok(None);
        }
        // Another node takes its place while all of them can confirm what it has acknowledged.
        if cluster.nodes.iter().all(|node| is_live(node, observed))
            && let Primary::Changing(step) = self.fail_over(observed).await?
        {
            return Ok(Some(step));
        }
        Ok(Some(Step::Again(RETRY)))
    }

    async fn remove(&self, node: NodeId) -> Result<Step> {
        let cluster = self.cluster();
        if self.engine().remove_node(&self.plan, node).await? == Removal::Going {
            return Ok(Step::Again(RETRY));
        }
        self.lifecycle.standbys.forget(cluster.id, node);
        let nodes = cluster.nodes.iter().filter(|other| other.id != node).cloned().collect();
        self.change_nodes(nodes).await
    }

    /// Commits the nodes, and the quorum that follows from them if it is another one.
    async fn change_nodes(&self, nodes: Vec<NodeSpec>) -> Result<Step> {
        let cluster = self.cluster();
        let wanted = quorum_of(&nodes, cluster.leadership.primary);
        let next_quorum = wanted.filter(|wanted| cluster.quorum.as_ref() != Some(wanted));
        let after = Cluster { nodes, next_quorum, generation: cluster.generation + 1, ..cluster.clone() };
        self.commit(&after, Vec::new()).await
    }

    /// Ends the operation, also one that had failed before, and unlocks the cluster.
    async fn finish(&self) -> Result<Option<Step>> {
        let cluster = self.cluster();
        if !cluster.has_node_operation() {
            return Ok(None);
        }
        let after = Cluster { operation: None, state: unlocked(cluster.state), ..cluster.clone() };
        self.commit(&after, Vec::new()).await.map(Some)
    }
}

fn unlocked(state: ClusterState) -> ClusterState {
    if state == ClusterState::Locked { ClusterState::Created } else { state }
}
