//! The verifiers for logins at the gateway.
//!
//! The server of a cluster that is awake is asked for each login, so that every change that was made in SQL applies
//! at once. This never resumes a cluster: for a suspended one, and while the server does not respond, the cached
//! metadata is used. Nothing can have changed in a suspended cluster.

use crate::lifecycle::{
    Lifecycle,
    power::READY_WAIT,
    sql_metadata::{logins, rows},
};
use ootheca_model::{ClusterId, Error, ErrorKind, Result, instance::Power, login::Secret};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The time limit for updating the cached metadata.
const REFRESH_LIMIT: Duration = Duration::from_secs(3);
/// A read that fails after this time would delay other logins, too.
const SLOW: Duration = Duration::from_secs(1);

/// The verifier of a user's password; `None` if the user cannot log in.
pub async fn secret(lifecycle: &Lifecycle, cluster: ClusterId, user: &str) -> Result<Option<Secret>> {
    let found = lifecycle.context.active_cluster(cluster).await?;
    let awake = found.value.power == Power::On;
    if awake && let Some(current) = from_server(lifecycle, cluster, user).await {
        if from_cache(lifecycle, cluster, user).await? != Some(current.clone()) {
            refresh(lifecycle, cluster, user, current.as_ref()).await;
        }
        return Ok(current);
    }
    match from_cache(lifecycle, cluster, user).await? {
        Some(known) => Ok(known),
        None if awake => first(lifecycle, cluster, user).await,
        None => Err(Error::unavailable("the cluster is suspended and has no cached SQL metadata")),
    }
}

/// The iterations of the cached verifiers of the cluster, which the responses for unknown users imitate;
/// `None` if there are none. They only differ if `scram_iterations` was changed.
pub async fn iterations(lifecycle: &Lifecycle, cluster: ClusterId) -> Result<Option<u32>> {
    rows::iterations(&lifecycle.context, cluster).await
}

/// The secret in the server; `None` if the server does not respond.
async fn from_server(lifecycle: &Lifecycle, cluster: ClusterId, user: &str) -> Option<Option<Secret>> {
    let locks = lifecycle.metadata_locks.of(cluster);
    if !locks.is_responsive() {
        return None;
    }
    let start = Instant::now();
    match lifecycle.context.engine.secret(cluster, user).await {
        Ok(secret) => Some(secret),
        Err(error) => {
            if start.elapsed() >= SLOW {
                locks.note_unresponsive();
            }
            log_failure(cluster, &error);
            None
        }
    }
}

/// The secret in the cached metadata; `None` if there is no metadata.
async fn from_cache(lifecycle: &Lifecycle, cluster: ClusterId, user: &str) -> Result<Option<Option<Secret>>> {
    rows::secret(&lifecycle.context, cluster, user).await
}

/// Reads all users again after a difference was found, unless a concurrent login has just done so.
async fn refresh(lifecycle: &Lifecycle, cluster: ClusterId, user: &str, current: Option<&Secret>) {
    let locks = lifecycle.metadata_locks.of(cluster);
    let work = async {
        let _turn = locks.refreshing.lock().await;
        let known = from_cache(lifecycle, cluster, user).await?;
        if known.is_some_and(|known| known.as_ref() == current) {
            return Ok(());
        }
        logins(lifecycle, cluster, &mut *lifecycle.context.engine.admin(cluster).await?).await.map(|_| ())
    };
    let late = || Error::unavailable("the SQL server of the cluster did not respond in time");
    if let Err(error) = timeout(REFRESH_LIMIT, work).await.unwrap_or_else(|_| Err(late())) {
        log_failure(cluster, &error);
    }
}

fn log_failure(cluster: ClusterId, error: &Error) {
    if error.kind() == ErrorKind::Unavailable {
        tracing::debug!(%cluster, error = error.chain(), "SQL users not read for a login");
    } else {
        tracing::warn!(%cluster, error = error.chain(), "SQL users not read for a login");
    }
}

/// Reads the metadata of a cluster for the first time, once its server is ready.
async fn first(lifecycle: &Lifecycle, cluster: ClusterId, user: &str) -> Result<Option<Secret>> {
    let mut admin =
        lifecycle.context.when_ready(cluster, READY_WAIT, || lifecycle.context.engine.admin(cluster)).await?;
    logins(lifecycle, cluster, &mut *admin).await?;
    from_cache(lifecycle, cluster, user).await?.ok_or_else(|| Error::not_found("cluster"))
}

#[cfg(test)]
mod tests;
