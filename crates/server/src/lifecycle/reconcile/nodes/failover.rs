//! Changes the primary: another node is named in the row first, and promoted by the next step.
//!
//! A server that has lost the lease can't commit, so it promotes nothing, and the engine refuses older terms.

use super::{Primary, RETRY, Work};
use crate::{
    ids::fresh_id,
    lifecycle::reconcile::step::{Step, next},
};
use ootheca_model::{
    Cluster, Error, ErrorKind, Result,
    audit::AuditEntry,
    instance::{Condition, Observed, Phase},
    node::{
        ChangeKind, Decision, FailoverFacts, Leadership, NodeId, PrimaryChange, Quorum, Received, decide,
    },
};
use std::{sync::atomic::Ordering, time::Duration};

/// The quorums that count.
struct Quorums {
    current: Option<Quorum>,
    next: Option<Quorum>,
}

impl Quorums {
    /// Those of the row.
    fn of(cluster: &Cluster) -> Self {
        Self { current: cluster.quorum.clone(), next: cluster.next_quorum.clone() }
    }

    /// Those that counted before the primary of the row became it.
    fn before(cluster: &Cluster) -> Self {
        let before =
            |quorum: &Option<Quorum>| quorum.as_ref().map(|quorum| cluster.leadership.quorum_before(quorum));
        Self { current: before(&cluster.quorum), next: before(&cluster.next_quorum) }
    }

    /// Those after a change of the primary.
    fn with_primary(&self, from: NodeId, to: NodeId) -> Self {
        let exchange = |quorum: &Option<Quorum>| quorum.as_ref().map(|quorum| quorum.with_primary(from, to));
        Self { current: exchange(&self.current), next: exchange(&self.next) }
    }
}

impl Work<'_> {
    /// Replaces the primary, which does not work, or starts it in place.
    pub(super) async fn fail_over(&self, observed: &Observed) -> Result<Primary> {
        let (engine, cluster) = (self.engine(), self.cluster());
        let primary = cluster.leadership.primary;
        let fenced = engine.fence(cluster.id, cluster.epoch, primary).await;
        let received = match fenced {
            Ok(()) => engine.received(cluster.id, cluster.epoch).await,
            Err(error) => Err(error),
        };
        let received = match received {
            // Not even one node may be there.
            Err(_) if observed.phase == Phase::Absent => Vec::new(),
            received => received?,
        };
        let quorums = Quorums::of(cluster);
        let last_primary = (observed.phase != Phase::Absent).then_some(primary);
        match self.decide(&quorums, &received, last_primary) {
            Decision::Promote(to) => self.name(primary, to, &quorums).await,
            Decision::StartPrimary(_) => self.start_primary().await,
            Decision::QuorumLost => Ok(Primary::Lost(quorum_lost(primary))),
        }
    }

    /// Promotes the primary that the row names.
    pub(super) async fn complete_change(
        &self,
        change: &PrimaryChange,
        observed: &Observed,
    ) -> Result<Primary> {
        let Leadership { primary, term, .. } = self.cluster().leadership;
        let leads =
            observed.phase == Phase::Ready && observed.primary == Some(primary) && observed.term == term;
        if leads {
            return self.end_change(change).await;
        }
        match self.engine().promote(&self.plan, &self.cluster().quorums_before()).await {
            Ok(()) => self.end_change(change).await,
            Err(error) if matches!(error.kind(), ErrorKind::Precondition | ErrorKind::Unavailable) => {
                self.decide_anew(change, &error).await
            }
            Err(error) => Err(error),
        }
    }

    /// The primary that the row names could not be promoted. Another node is named, or the old primary again.
    async fn decide_anew(&self, change: &PrimaryChange, error: &Error) -> Result<Primary> {
        let (engine, cluster) = (self.engine(), self.cluster());
        let primary = cluster.leadership.primary;
        tracing::warn!(cluster = %cluster.id, node = %primary, error = error.chain(), "node not promoted");
        let received = engine.received(cluster.id, cluster.epoch).await?;
        // If it does not respond as a standby, it may have been the primary already, and then its quorums count too.
        let never_promoted = received.iter().any(|standby| standby.node == primary);
        let (from, quorums) = match never_promoted {
            true => (change.from, Quorums::before(cluster)),
            false => (primary, Quorums::of(cluster)),
        };
        match self.decide(&quorums, &received, Some(from)) {
            Decision::Promote(to) if to == primary => Ok(Primary::Changing(Step::Again(RETRY))),
            Decision::Promote(to) => self.name(from, to, &quorums).await,
            Decision::StartPrimary(node) if node == primary => self.start_primary().await,
            // The new primary was never promoted. The next step starts the old one.
            Decision::StartPrimary(node) => self.lead(node, None, quorums).await,
            Decision::QuorumLost => Ok(Primary::Lost(quorum_lost(primary))),
        }
    }

    fn decide(&self, quorums: &Quorums, received: &[Received], last_primary: Option<NodeId>) -> Decision {
        let cluster = self.cluster();
        decide(&FailoverFacts {
            nodes: &cluster.nodes,
            leadership: &cluster.leadership,
            quorum: quorums.current.as_ref(),
            next_quorum: quorums.next.as_ref(),
            received,
            last_primary,
        })
    }

    /// Names another primary, which the next step promotes. `from` has every commit that was acknowledged until now.
    async fn name(&self, from: NodeId, to: NodeId, quorums: &Quorums) -> Result<Primary> {
        let begun_at = self.lifecycle.context.now();
        let change = PrimaryChange { from, to, kind: ChangeKind::Failover, begun_at };
        self.lead(to, Some(change), quorums.with_primary(from, to)).await
    }

    /// Commits a primary in the next term.
    async fn lead(
        &self,
        primary: NodeId,
        change: Option<PrimaryChange>,
        quorums: Quorums,
    ) -> Result<Primary> {
        let (cluster, now) = (self.cluster(), self.lifecycle.context.now());
        let before = &cluster.leadership;
        let leadership = Leadership { primary, term: before.term + 1, change };
        let payload = serde_json::json!({
            "previous_primary": before.primary.to_string(),
            "primary": primary.to_string(),
            "term": leadership.term,
        });
        let ids = [fresh_id(), fresh_id()];
        let entry = AuditEntry::internal(ids, cluster, "UPDATE_CLUSTER", payload.to_string(), now);
        let Quorums { current: quorum, next: next_quorum } = quorums;
        let after = Cluster { leadership, quorum, next_quorum, ..cluster.clone() };
        self.commit(&after, vec![entry]).await.map(Primary::Changing)
    }

    /// Starts the primary where it is, because too few standbys responded.
    async fn start_primary(&self) -> Result<Primary> {
        let cluster = self.cluster();
        match self.engine().start_primary(&self.plan).await {
            Ok(observed) => Ok(Primary::Changing(match next(cluster.power, &observed) {
                Step::Done => Step::Again(Duration::ZERO),
                step => step,
            })),
            // Its data is gone.
            Err(error) if error.kind() == ErrorKind::Precondition => {
                tracing::error!(cluster = %cluster.id, error = error.chain(), "primary not started");
                Ok(Primary::Lost(quorum_lost(cluster.leadership.primary)))
            }
            Err(error) => Err(error),
        }
    }

    /// Ends the change of the primary, which accepts writes.
    async fn end_change(&self, change: &PrimaryChange) -> Result<Primary> {
        let (cluster, lifecycle) = (self.cluster(), self.lifecycle);
        let Leadership { primary, term, .. } = cluster.leadership;
        let leadership = Leadership { primary, term, change: None };
        let step = self.commit(&Cluster { leadership, ..cluster.clone() }, Vec::new()).await?;
        lifecycle.standbys.forget_all(cluster.id);
        lifecycle.failovers.fetch_add(1, Ordering::Relaxed);
        let took = lifecycle.context.now().since(change.begun_at);
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            cluster = %cluster.id, from = %change.from, to = %primary, term, milliseconds, "cluster failed over"
        );
        Ok(Primary::Changing(step))
    }
}

fn quorum_lost(primary: NodeId) -> Condition {
    Condition {
        kind: Condition::QUORUM_LOST.to_owned(),
        holds: true,
        message: format!(
            "The primary node {primary} is lost, and too few of the other nodes respond to replace it without losing \
             committed data. The cluster is available again once they respond or the data of the node is back."
        ),
    }
}
