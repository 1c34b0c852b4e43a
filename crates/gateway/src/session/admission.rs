//! What the directory is asked on behalf of a client, and what happens when its answers change.
//!
//! Runs where the rest of the program runs, never on the threads that copy.

use super::Shared;
use crate::{
    Directory, Policy,
    error::Refusal,
    pool::Pool,
    registry::{Closed, Live, Over, Sessions},
};
use ootheca_model::{ClusterId, Error, ErrorKind, login::Secret, names};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::sleep,
};

const RETRY: Duration = Duration::from_millis(200);

/// Who wants to go where.
#[derive(Clone)]
pub(crate) struct Request {
    /// The routing id.
    pub(crate) routing_id: String,
    /// The SQL user; `None` if it is not text.
    pub(crate) user: Option<String>,
    /// The peer's address.
    pub(crate) peer: IpAddr,
}

/// A peer that may try to prove who it is.
pub(crate) struct Admitted {
    pub(crate) live: Live,
    /// What to check its password against.
    pub(crate) secret: Option<Secret>,
    /// The iterations of the cluster's verifiers.
    pub(crate) iterations: Option<u32>,
    policy: Policy,
    /// The count of changes that the policy is not older than.
    seen: u64,
}

/// Finds the cluster, and what the user must know; or says why not.
pub(crate) async fn admit(shared: &Shared, request: &Request) -> Result<Admitted, Refusal> {
    let Request { routing_id, peer, user } = request;
    let (directory, sessions) = (&shared.directory, &shared.sessions);
    let seen = sessions.changes();
    let failed = |error| unavailable(routing_id, error);
    let found = directory.resolve(routing_id).await.map_err(failed)?;
    let found = found.ok_or_else(|| Refusal::unknown(routing_id))?;
    if !found.policy.allows(*peer) {
        return Err(Refusal::denied(routing_id));
    }
    if let Some(user) = user.as_ref().filter(|user| names::reserved_user(user)) {
        return Err(Refusal::reserved(user));
    }
    shared.throttle.check(*peer, found.cluster, Instant::now()).map_err(Refusal::throttled)?;
    let live = sessions.register(found.cluster, *peer);
    let secret = match user {
        Some(user) => directory.secret(found.cluster, user).await.map_err(failed)?,
        None => None,
    };
    Ok(Admitted { live, secret, iterations: found.iterations, policy: found.policy, seen })
}

/// A session that counts, and where its server is.
pub(crate) struct Entered {
    pub(crate) live: Live,
    pub(crate) over: Option<Over>,
    pub(crate) socket: PathBuf,
    /// How long it took until the server was there.
    pub(crate) wake: Duration,
}

/// Lets in who has proven who it is, and wakes the cluster.
pub(crate) async fn enter(
    shared: &Shared,
    admitted: Admitted,
    request: &Request,
) -> Result<Entered, Refusal> {
    let Admitted { live, mut policy, mut seen, .. } = admitted;
    let failed = |error| unavailable(&request.routing_id, error);
    let over = loop {
        let now = shared.sessions.changes();
        if now != seen {
            let newer = shared.directory.policy(live.cluster).await.map_err(failed)?;
            policy = newer.ok_or_else(|| Refusal::unknown(&request.routing_id))?;
            seen = now;
            if !policy.allows(request.peer) {
                return Err(Refusal::denied(&request.routing_id));
            }
        }
        let over = live.enter(&policy.standing, shared.max_connections_per_cluster).map_err(closed)?;
        if shared.sessions.changes() == seen {
            break over;
        }
    };
    let start = Instant::now();
    let socket = shared.directory.endpoint(live.cluster).await.map_err(failed)?;
    Ok(Entered { live, over, socket, wake: start.elapsed() })
}

fn closed(closed: Closed) -> Refusal {
    match closed {
        Closed::Disabled(notice) => Refusal::disabled(notice),
        Closed::Throttled(notice) => Refusal::seat_taken(notice),
        Closed::Full => Refusal::cluster_full(),
    }
}

fn unavailable(routing_id: &str, error: Error) -> Refusal {
    let cause = error.chain();
    match error.kind() {
        ErrorKind::NotFound => Refusal::unknown(routing_id),
        ErrorKind::Unavailable | ErrorKind::Precondition => {
            tracing::warn!(cluster = routing_id, cause, "the cluster's server is not reachable");
            Refusal::backend_down()
        }
        _ => {
            tracing::error!(cluster = routing_id, cause, "a connection could not be routed");
            Refusal::internal()
        }
    }
}

/// Ends live sessions when their cluster's policy no longer allows them, for as long as there are
/// changes to hear of. What was left for reuse goes with any change.
pub(crate) async fn enforce(
    directory: Arc<dyn Directory>,
    sessions: Arc<Sessions>,
    pool: Arc<Pool>,
    mut changes: broadcast::Receiver<ClusterId>,
) {
    let mut waiting = BTreeSet::new();
    loop {
        let heard = tokio::select! {
            heard = changes.recv() => heard.map(Some),
            () = sleep(RETRY), if !waiting.is_empty() => Ok(None),
        };
        sessions.changed();
        match heard {
            Ok(cluster) => waiting.extend(cluster),
            Err(RecvError::Lagged(_)) => waiting.extend(sessions.clusters()),
            Err(RecvError::Closed) => return,
        }
        for cluster in std::mem::take(&mut waiting).into_iter().filter(|cluster| sessions.any(*cluster)) {
            pool.evict(cluster);
            match directory.policy(cluster).await {
                Ok(policy) => sessions.enforce(cluster, policy.as_ref()),
                Err(error) => {
                    tracing::warn!(%cluster, cause = error.chain(), "the policy could not be read; trying again");
                    waiting.insert(cluster);
                }
            }
        }
    }
}
