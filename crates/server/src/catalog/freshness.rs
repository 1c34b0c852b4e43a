//! How fresh the notes of each cluster are, and when they are taken again before a login.
//!
//! Secrets are read again if somebody may have changed them since, at most once a second for each cluster;
//! whoever comes meanwhile waits for that one look. In memory only: after a restart the first login looks.

use super::{Catalog, logins, recall};
use crate::{app::App, power::READY_WAIT, rows::Stored};
use ootheca_model::{ClusterId, Error, ErrorKind, Result, Timestamp, instance::Power, login::Secret};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{sync::OwnedMutexGuard, time::timeout};

/// Notes that are younger are not taken again.
const FRESH: Duration = Duration::from_secs(1);
/// How long a look at the users of a cluster may take before a login goes by the notes as they are.
const LOOK_LIMIT: Duration = Duration::from_secs(3);
/// Looks for users that are not in the notes: so many within [`UNKNOWN_WINDOW`].
const UNKNOWN_LOOKS: u32 = 10;
const UNKNOWN_WINDOW: Duration = Duration::from_secs(10);

/// What is remembered of the notes of each cluster.
#[derive(Default)]
pub struct Notes(Mutex<HashMap<ClusterId, Arc<Notebook>>>);

/// What is remembered of one.
#[derive(Default)]
struct Notebook {
    /// Who looks at the users writes what it saw before the next one looks.
    logins: Arc<tokio::sync::Mutex<()>>,
    /// The same for databases.
    databases: Arc<tokio::sync::Mutex<()>>,
    /// Who looks because of a login; the others wait for it.
    looking: tokio::sync::Mutex<()>,
    freshness: Mutex<Freshness>,
}

#[derive(Default)]
struct Freshness {
    /// When the last look at the users began, by both clocks.
    read: Option<(Instant, Timestamp)>,
    /// When a look last failed.
    failed: Option<Instant>,
    /// A secret turned out to be old.
    distrusted: bool,
    /// Looks for unknown users since then.
    unknown: Option<(Instant, u32)>,
}

fn older(moment: Instant, than: Duration) -> bool {
    moment.elapsed() >= than
}

impl Freshness {
    /// Whether the secrets may have changed; `used_at` is when somebody last could have done that.
    fn outdated(&self, used_at: Timestamp) -> bool {
        if self.failed.is_some_and(|failed| !older(failed, FRESH)) {
            return false;
        }
        self.distrusted || self.read.is_none_or(|(began, at)| used_at >= at && older(began, FRESH))
    }

    /// Whether to look for a user that is not noted. Takes one of the looks that are left.
    fn look_for_unknown(&mut self) -> bool {
        let (since, looks) = match self.unknown {
            Some((since, looks)) if !older(since, UNKNOWN_WINDOW) => (since, looks),
            _ => (Instant::now(), 0),
        };
        self.unknown = Some((since, looks + 1));
        looks < UNKNOWN_LOOKS
    }
}

impl Notebook {
    fn freshness(&self) -> MutexGuard<'_, Freshness> {
        self.freshness.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn to look at the users of a cluster.
pub(super) struct Turn {
    notebook: Arc<Notebook>,
    _turn: OwnedMutexGuard<()>,
}

/// A look that has begun.
pub(super) struct Looked<'a> {
    turn: &'a Turn,
    began: (Instant, Timestamp),
}

impl Turn {
    pub(super) fn begin(&self, now: Timestamp) -> Looked<'_> {
        Looked { turn: self, began: (Instant::now(), now) }
    }
}

impl Looked<'_> {
    /// What was seen is noted.
    pub(super) fn done(self) {
        let mut freshness = self.turn.notebook.freshness();
        freshness.read = Some(self.began);
        (freshness.failed, freshness.distrusted) = (None, false);
    }
}

impl Notes {
    fn of(&self, cluster: ClusterId) -> Arc<Notebook> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(cluster).or_default().clone()
    }

    pub(super) async fn logins_turn(&self, cluster: ClusterId) -> Turn {
        let notebook = self.of(cluster);
        let turn = notebook.logins.clone().lock_owned().await;
        Turn { notebook, _turn: turn }
    }

    pub(super) async fn databases_turn(&self, cluster: ClusterId) -> OwnedMutexGuard<()> {
        self.of(cluster).databases.clone().lock_owned().await
    }

    /// The next login looks again.
    pub fn distrust(&self, cluster: ClusterId) {
        self.of(cluster).freshness().distrusted = true;
    }

    /// Forgets a cluster.
    pub fn forget(&self, cluster: ClusterId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&cluster);
    }
}

#[cfg(test)]
mod tests;

/// What a user's password is checked against. Never wakes the cluster; one that is suspended or not to be
/// reached is answered for by its notes.
pub async fn secret(app: &App, cluster: ClusterId, user: &str) -> Result<Option<Secret>> {
    let found = app.active_cluster(cluster).await?;
    let awake = found.value.power == Power::On;
    let notebook = app.notes.of(cluster);
    let outdated = || notebook.freshness().outdated(last_used(app, cluster));
    if awake && outdated() {
        refresh(app, cluster, &notebook, outdated).await;
    }
    let notes = match recall(app, cluster).await? {
        Some(notes) => notes,
        None if awake => first(app, cluster).await?,
        None => return Err(Error::unavailable("the cluster is suspended and there are no notes of it")),
    };
    if let Some(secret) = notes.value.secret(user) {
        return Ok(Some(secret.clone()));
    }
    let asked = Instant::now();
    let unseen = || notebook.freshness().read.is_none_or(|(began, _)| began < asked);
    if !awake || !notebook.freshness().look_for_unknown() {
        return Ok(None);
    }
    refresh(app, cluster, &notebook, unseen).await;
    Ok(recall(app, cluster).await?.and_then(|notes| notes.value.secret(user).cloned()))
}

/// The iterations of the verifiers that are noted of the cluster, as those of users who are none should
/// look; `None` if there are none. They differ only if somebody changed `scram_iterations` meanwhile.
pub async fn iterations(app: &App, cluster: ClusterId) -> Result<Option<u32>> {
    let notes = recall(app, cluster).await?;
    let logins = notes.iter().flat_map(|notes| &notes.value.logins);
    Ok(logins.filter_map(|login| login.secret.iterations()).next())
}

/// When somebody last could have changed a secret without our knowing.
fn last_used(app: &App, cluster: ClusterId) -> Timestamp {
    let sessions = app.traffic.last_used(cluster, app.now()).unwrap_or_default();
    sessions.max(app.uses.last(cluster).unwrap_or_default())
}

/// Looks again unless somebody else just did, or it can not be done.
async fn refresh(app: &App, cluster: ClusterId, notebook: &Notebook, wanted: impl Fn() -> bool) {
    // Those who come while one looks wait here, and find that it is done.
    let _turn = notebook.looking.lock().await;
    if !wanted() {
        return;
    }
    let look = async { logins(app, cluster, &mut *app.engine.admin(cluster).await?).await };
    let result = match timeout(LOOK_LIMIT, look).await {
        Ok(result) => result.map(|_| ()),
        Err(_) => Err(Error::unavailable("the cluster's SQL server does not answer in time")),
    };
    let Err(error) = result else { return };
    notebook.freshness().failed = Some(Instant::now());
    if error.kind() == ErrorKind::Unavailable {
        tracing::debug!(%cluster, error = error.chain(), "secrets not read again");
    } else {
        tracing::warn!(%cluster, error = error.chain(), "secrets not read again");
    }
}

/// The first notes of a cluster.
async fn first(app: &App, cluster: ClusterId) -> Result<Arc<Stored<Catalog>>> {
    let mut admin = app.when_ready(cluster, READY_WAIT, || app.engine.admin(cluster)).await?;
    logins(app, cluster, &mut *admin).await?;
    recall(app, cluster).await?.ok_or_else(|| Error::not_found("cluster"))
}
