//! Whether a peer may reach a cluster, where that is, and what happens when the answer changes.
//!
//! Runs where the rest of the program runs, never on the threads that copy.

use crate::{
    Directory,
    refusal::Refusal,
    sessions::{Live, Sessions},
};
use ootheca_model::{ClusterId, Error, ErrorKind, names};
use std::{collections::BTreeSet, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::sleep,
};

const RETRY: Duration = Duration::from_millis(200);

/// Who wants to go where.
pub(crate) struct Request {
    /// The routing id.
    pub(crate) routing_id: String,
    /// The SQL user, as far as it is text.
    pub(crate) user: String,
    /// The peer's address.
    pub(crate) peer: IpAddr,
}

/// Lets a peer in, or says why not. The answer holds the session and the socket of its server.
pub(crate) async fn admit(
    directory: &dyn Directory,
    sessions: &Arc<Sessions>,
    request: &Request,
) -> Result<(Live, PathBuf), Refusal> {
    let seen = sessions.changes();
    let failed = |error| unavailable(&request.routing_id, error);
    let found = directory.resolve(&request.routing_id).await.map_err(failed)?;
    let found = found.ok_or_else(|| Refusal::unknown(&request.routing_id))?;
    if !found.policy.allows(request.peer) {
        return Err(Refusal::denied());
    }
    if names::reserved_user(&request.user) {
        return Err(Refusal::reserved(&request.user));
    }
    let live = sessions.register(found.cluster, request.peer);
    if sessions.changes() != seen {
        let policy = directory.policy(found.cluster).await.map_err(failed)?;
        let policy = policy.ok_or_else(|| Refusal::unknown(&request.routing_id))?;
        if !policy.allows(request.peer) {
            return Err(Refusal::denied());
        }
    }
    let socket = directory.endpoint(found.cluster).await.map_err(failed)?;
    Ok((live, socket))
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
/// changes to hear of.
pub(crate) async fn enforce(
    directory: Arc<dyn Directory>,
    sessions: Arc<Sessions>,
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
