//! Lets nodes follow the primary: as they are, by rewind, or with a new copy of the data.

use super::{RETRY, Work};
use ootheca_engine::{Progress, Rejoin, Source};
use ootheca_model::{
    Cluster, ClusterState, Error, ErrorKind, Result,
    instance::{Observed, Phase, Removal},
    node::{NodeId, NodeStage},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

/// How often to check whether the primary still works while a node is being built.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The result of an attempt to let a node follow the primary.
pub(super) enum Attempt {
    Streams,
    /// Look again after this time; usually a hint comes first.
    Later(Duration),
}

impl Work<'_> {
    /// Lets each member that does not stream rejoin. Returns when to look again if one does not stream. A node that fails
    /// delays no other one.
    pub(super) async fn rejoin_members(&self, observed: &Observed) -> Result<Option<Duration>> {
        let cluster = self.cluster();
        let mut wait: Option<Duration> = None;
        for node in cluster.nodes.iter().filter(|node| node.stage == NodeStage::Member) {
            let after = match self.follow(observed, node.id).await {
                Ok(Attempt::Streams) => continue,
                Ok(Attempt::Later(after)) => after,
                Err(error) if error.kind() == ErrorKind::Stale => return Err(error),
                Err(error) => {
                    let (id, node, error) = (cluster.id, node.id, error.chain());
                    tracing::warn!(cluster = %id, %node, error, "node not rejoined");
                    self.lifecycle.standbys.wait(id, node, true)
                }
            };
            wait = Some(wait.map_or(after, |wait| wait.min(after)));
        }
        Ok(wait)
    }

    /// Lets a node follow the primary, unless it does already or the last attempt was too recent.
    pub(super) async fn follow(&self, observed: &Observed, node: NodeId) -> Result<Attempt> {
        let (id, standbys) = (self.cluster().id, &self.lifecycle.standbys);
        let seen = observed.nodes.iter().find(|seen| seen.id == node);
        if node == self.cluster().leadership.primary || seen.is_some_and(|seen| seen.live) {
            standbys.forget(id, node);
            return Ok(Attempt::Streams);
        }
        let wait = standbys.wait(id, node, seen.is_some_and(|seen| seen.pid.is_some()));
        if !wait.is_zero() {
            return Ok(Attempt::Later(wait));
        }
        standbys.attempted(id, node);
        tokio::select! {
            // Otherwise the order is random, and the tests of the loops can't be repeated.
            biased;
            result = self.rejoin(node) => result?,
            () = self.primary_lost() => return Ok(Attempt::Later(RETRY)),
        }
        Ok(Attempt::Later(standbys.wait(id, node, true)))
    }

    async fn rejoin(&self, node: NodeId) -> Result<()> {
        let engine = self.engine();
        let mut rejoined = engine.rejoin(&self.plan, node).await?;
        if rejoined == Rejoin::NeedsReseed {
            // Returns at once if an earlier attempt has built the copy, or there was no data.
            while engine.remove_node(&self.plan, node).await? == Removal::Going {
                sleep(RETRY).await;
            }
            self.seed(node).await?;
            rejoined = engine.rejoin(&self.plan, node).await?;
        }
        match rejoined {
            Rejoin::NeedsReseed => {
                Err(Error::unavailable("the new copy of the data can't follow the primary"))
            }
            Rejoin::Streaming | Rejoin::Started => Ok(()),
        }
    }

    /// Builds a copy of the primary.
    async fn seed(&self, node: NodeId) -> Result<()> {
        let cluster = self.cluster();
        let Some(_staging) = self.lifecycle.backups.begin_staging() else {
            return Err(Error::unavailable("other copies are being built"));
        };
        tracing::info!(cluster = %cluster.id, %node, "copying the primary to a node");
        let source = Source::Primary(Progress(Arc::new(|_: f32| {})));
        self.engine().stage_node(&self.plan, node, &source).await
    }

    /// Waits until building a node has to be given up: the primary does not work, the cluster has changed, or the server
    /// stops.
    async fn primary_lost(&self) {
        let (context, id) = (&self.lifecycle.context, self.cluster().id);
        let (mut hints, mut draining) = (self.engine().watch(), context.draining.subscribe());
        while !*draining.borrow() {
            let works = match self.engine().observe(id).await {
                Ok(observed) => observed.phase == Phase::Ready,
                Err(_) => true,
            };
            if !works || !self.is_current().await {
                return;
            }
            let hint = async { while hints.recv().await.is_ok_and(|hint| hint != id) {} };
            tokio::select! {
                _ = timeout(CHECK_INTERVAL, hint) => {}
                _ = draining.changed() => {}
            }
        }
    }

    /// Whether the nodes and the data of the cluster are still those of this step.
    async fn is_current(&self) -> bool {
        let same = |now: &Cluster| {
            let cluster = self.cluster();
            (now.epoch, now.generation, &now.leadership)
                == (cluster.epoch, cluster.generation, &cluster.leadership)
                && now.state != ClusterState::Deleted
        };
        match self.lifecycle.context.find::<Cluster>(&self.cluster().id.to_string()).await {
            Ok(found) => found.is_some_and(|found| same(&found.value)),
            Err(_) => true,
        }
    }
}
