//! The verifiers for logins at the gateway, read again if they may have changed.
//!
//! It never resumes a cluster: for a suspended or unreachable one, the cached metadata is used.

use crate::{
    documents::Stored,
    lifecycle::{
        Lifecycle,
        power::READY_WAIT,
        sql_metadata::{SqlMetadata, cached, freshness::ClusterFreshness, logins},
    },
};
use ootheca_model::{ClusterId, Error, ErrorKind, Result, Timestamp, instance::Power, login::Secret};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// The time limit for reading the users of a cluster, after which a login uses the cached metadata.
const LOOK_LIMIT: Duration = Duration::from_secs(3);

/// The verifier of a user's password. Never resumes the cluster: for a suspended or unreachable one, the
/// cached metadata is used.
pub async fn secret(lifecycle: &Lifecycle, cluster: ClusterId, user: &str) -> Result<Option<Secret>> {
    let found = lifecycle.context.active_cluster(cluster).await?;
    let awake = found.value.power == Power::On;
    let notebook = lifecycle.freshness.of(cluster);
    let outdated = || notebook.freshness().outdated(last_used(lifecycle, cluster));
    if awake && outdated() {
        refresh(lifecycle, cluster, &notebook, outdated).await;
    }
    let notes = match cached(lifecycle, cluster).await? {
        Some(notes) => notes,
        None if awake => first(lifecycle, cluster).await?,
        None => return Err(Error::unavailable("the cluster is suspended and has no cached SQL metadata")),
    };
    if let Some(secret) = notes.value.secret(user) {
        return Ok(Some(secret.clone()));
    }
    let asked = Instant::now();
    let unseen = || notebook.freshness().read.is_none_or(|(began, _)| began < asked);
    if !awake || !notebook.freshness().look_for_unknown() {
        return Ok(None);
    }
    refresh(lifecycle, cluster, &notebook, unseen).await;
    Ok(cached(lifecycle, cluster).await?.and_then(|notes| notes.value.secret(user).cloned()))
}

/// The iterations of the cached verifiers of the cluster, which the responses for unknown users imitate;
/// `None` if there are none. They only differ if `scram_iterations` was changed.
pub async fn iterations(lifecycle: &Lifecycle, cluster: ClusterId) -> Result<Option<u32>> {
    let notes = cached(lifecycle, cluster).await?;
    let logins = notes.iter().flat_map(|notes| &notes.value.logins);
    Ok(logins.filter_map(|login| login.secret.iterations()).next())
}

/// When a secret could last have been changed without the knowledge of this server.
fn last_used(lifecycle: &Lifecycle, cluster: ClusterId) -> Timestamp {
    let sessions =
        lifecycle.metering.activity.last_used(cluster, lifecycle.context.now()).unwrap_or_default();
    sessions.max(lifecycle.tracker.last(cluster).unwrap_or_default())
}

/// Reads again, unless a concurrent login has just done so or the server cannot be reached.
async fn refresh(
    lifecycle: &Lifecycle,
    cluster: ClusterId,
    notebook: &ClusterFreshness,
    wanted: impl Fn() -> bool,
) {
    // Logins that arrive during a read wait here, and find that it is done.
    let _turn = notebook.looking.lock().await;
    if !wanted() {
        return;
    }
    let look =
        async { logins(lifecycle, cluster, &mut *lifecycle.context.engine.admin(cluster).await?).await };
    let result = match timeout(LOOK_LIMIT, look).await {
        Ok(result) => result.map(|_| ()),
        Err(_) => Err(Error::unavailable("the SQL server of the cluster did not respond in time")),
    };
    let Err(error) = result else { return };
    notebook.freshness().failed = Some(Instant::now());
    if error.kind() == ErrorKind::Unavailable {
        tracing::debug!(%cluster, error = error.chain(), "secrets not read again");
    } else {
        tracing::warn!(%cluster, error = error.chain(), "secrets not read again");
    }
}

/// Reads the metadata of a cluster for the first time.
async fn first(lifecycle: &Lifecycle, cluster: ClusterId) -> Result<Arc<Stored<SqlMetadata>>> {
    let mut admin =
        lifecycle.context.when_ready(cluster, READY_WAIT, || lifecycle.context.engine.admin(cluster)).await?;
    logins(lifecycle, cluster, &mut *admin).await?;
    cached(lifecycle, cluster).await?.ok_or_else(|| Error::not_found("cluster"))
}

#[cfg(test)]
mod tests;
