//! Admission of clients by the cluster's policy, and its enforcement on live sessions.
//!
//! Runs on the main runtime, never on the workers.

use super::Shared;
use crate::{
    Directory, Policy,
    error::ClientError,
    pool::Pool,
    registry::{ActivationError, Registration, Registry, StorageLimit},
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

const POLICY_RETRY: Duration = Duration::from_millis(200);

/// What admission depends on.
#[derive(Clone)]
pub(crate) struct AdmissionRequest {
    pub(crate) routing_id: String,
    /// The SQL user, in the form of `ootheca_model::sql_name`.
    pub(crate) user: String,
    pub(crate) client: IpAddr,
}

/// A client that may authenticate.
pub(crate) struct AdmittedClient {
    pub(crate) registration: Registration,
    pub(crate) secret: Option<Secret>,
    /// The iterations of the cluster's SCRAM verifiers.
    pub(crate) iterations: Option<u32>,
    policy: Policy,
    /// The number of policy changes before the policy was read.
    seen_changes: u64,
}

/// Resolves the cluster, checks its policy, and reads the user's secret.
pub(crate) async fn admit(
    shared: &Shared,
    request: &AdmissionRequest,
) -> Result<AdmittedClient, ClientError> {
    let AdmissionRequest { routing_id, client, user } = request;
    let (directory, registry) = (&shared.directory, &shared.registry);
    let seen_changes = registry.policy_changes();
    let failed = |error| directory_error(routing_id, error);
    let found = directory.resolve(routing_id).await.map_err(failed)?;
    let found = found.ok_or_else(|| ClientError::unknown_cluster(routing_id))?;
    if !found.policy.allows(*client) {
        return Err(ClientError::denied(routing_id));
    }
    if names::reserved_user(user) {
        return Err(ClientError::reserved_user(user));
    }
    let registration = registry.register(found.cluster, *client);
    let secret = directory.secret(found.cluster, user).await.map_err(failed)?;
    let (iterations, policy) = (found.iterations, found.policy);
    Ok(AdmittedClient { registration, secret, iterations, policy, seen_changes })
}

/// An active session, and the socket of its server.
pub(crate) struct ActivatedSession {
    pub(crate) registration: Registration,
    pub(crate) storage_limit: Option<StorageLimit>,
    pub(crate) socket: PathBuf,
    /// The time until the server was ready.
    pub(crate) wake: Duration,
}

/// Activates the session of an authenticated client, and wakes the cluster.
pub(crate) async fn activate(
    shared: &Shared,
    admitted: AdmittedClient,
    request: &AdmissionRequest,
) -> Result<ActivatedSession, ClientError> {
    let AdmittedClient { registration, mut policy, mut seen_changes, .. } = admitted;
    let failed = |error| directory_error(&request.routing_id, error);
    let storage_limit = loop {
        let changes = shared.registry.policy_changes();
        if changes != seen_changes {
            let newer = shared.directory.policy(registration.cluster).await.map_err(failed)?;
            policy = newer.ok_or_else(|| ClientError::unknown_cluster(&request.routing_id))?;
            seen_changes = changes;
            if !policy.allows(request.client) {
                return Err(ClientError::denied(&request.routing_id));
            }
        }
        let activated = registration.activate(&policy.admission, shared.max_connections_per_cluster);
        let storage_limit = activated.map_err(activation_error)?;
        if shared.registry.policy_changes() == seen_changes {
            break storage_limit;
        }
    };
    let start = Instant::now();
    let socket =
        shared.directory.endpoint(registration.cluster).await.map_err(|error| match error.kind() {
            ErrorKind::Precondition => ClientError::not_served(error.message()),
            _ => failed(error),
        })?;
    Ok(ActivatedSession { registration, storage_limit, socket, wake: start.elapsed() })
}

fn activation_error(error: ActivationError) -> ClientError {
    match error {
        ActivationError::Disabled(notice) => ClientError::disabled(notice),
        ActivationError::Throttled(notice) => ClientError::slot_taken(notice),
        ActivationError::TooManySessions => ClientError::too_many_sessions(),
    }
}

fn directory_error(routing_id: &str, error: Error) -> ClientError {
    let cause = error.chain();
    match error.kind() {
        ErrorKind::NotFound => ClientError::unknown_cluster(routing_id),
        ErrorKind::Unavailable | ErrorKind::Precondition => {
            tracing::warn!(cluster = routing_id, cause, "server not reachable");
            ClientError::backend_down()
        }
        _ => {
            tracing::error!(cluster = routing_id, cause, "directory lookup failed");
            ClientError::internal()
        }
    }
}

/// Terminates live sessions that a changed policy no longer allows, until the directory is gone. Any
/// change also closes the pooled connections of the cluster.
pub(crate) async fn enforce(
    directory: Arc<dyn Directory>,
    registry: Arc<Registry>,
    pool: Arc<Pool>,
    mut changes: broadcast::Receiver<ClusterId>,
) {
    let mut pending = BTreeSet::new();
    loop {
        let change = tokio::select! {
            change = changes.recv() => change.map(Some),
            () = sleep(POLICY_RETRY), if !pending.is_empty() => Ok(None),
        };
        registry.count_policy_change();
        match change {
            Ok(cluster) => pending.extend(cluster),
            Err(RecvError::Lagged(_)) => pending.extend(registry.clusters()),
            Err(RecvError::Closed) => return,
        }
        let clusters = std::mem::take(&mut pending).into_iter();
        for cluster in clusters.filter(|cluster| registry.contains(*cluster)) {
            pool.evict(cluster);
            match directory.policy(cluster).await {
                Ok(policy) => registry.enforce(cluster, policy.as_ref()),
                Err(error) => {
                    tracing::warn!(%cluster, cause = error.chain(), "policy not read; retrying");
                    pending.insert(cluster);
                }
            }
        }
    }
}
