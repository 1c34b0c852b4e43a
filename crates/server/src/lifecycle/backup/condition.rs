//! The conditions of clusters about their backups: which ones there are, and how all servers come to show them.
//!
//! Only the server with the lease finds them: `schedule` the backups that are overdue, `verify` those that are damaged.
//! It keeps them in a row of the store. The other servers read that row, and so does the next one that gets the lease.
//! `BackupsDisabled` is not among them: it follows from the settings of the server that shows the cluster.

use crate::{
    context::{BackupConditions, Context},
    documents,
};
use ootheca_model::{Cluster, ClusterId, Error, ErrorKind, Result, Timestamp, instance::Condition};
use ootheca_store::{Batch, Changed, Kind, Lease, Mutation, Row};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    time::timeout,
};

const ROW: &str = "backup-conditions";
/// How often servers without the lease read the row. Usually a hint comes first.
const INTERVAL: Duration = Duration::from_secs(10);
/// A cluster has no condition while its backup is less late than this.
const SHORTEST_DELAY: Duration = Duration::from_secs(15 * 60);

/// The conditions that this server shows.
#[derive(Default)]
pub(super) struct Conditions {
    shown: Arc<Mutex<BackupConditions>>,
    saved: tokio::sync::Mutex<Saved>,
}

/// What the row contains, as far as this server knows.
#[derive(Default)]
struct Saved {
    /// The lease under which it was read; `None` if it was read without one.
    lease: Option<Lease>,
    conditions: BackupConditions,
}

impl Conditions {
    /// `shown` gets the conditions.
    pub(super) fn new(shown: Arc<Mutex<BackupConditions>>) -> Self {
        Self { shown, saved: tokio::sync::Mutex::default() }
    }

    /// The condition of this kind, if the cluster has it.
    pub(super) fn get(&self, cluster: ClusterId, kind: &str) -> Option<Condition> {
        self.shown.lock().get(&cluster)?.iter().find(|condition| condition.kind == kind).cloned()
    }

    /// Replaces the condition of a kind, or removes it.
    pub(super) fn set(&self, cluster: ClusterId, kind: &str, message: Option<String>) {
        let mut shown = self.shown.lock();
        if message.is_none() && !shown.contains_key(&cluster) {
            return;
        }
        let conditions = shown.entry(cluster).or_default();
        conditions.retain(|condition| condition.kind != kind);
        conditions.extend(message.map(|message| Condition { kind: kind.to_owned(), holds: true, message }));
        conditions.sort_by(|one, other| one.kind.cmp(&other.kind));
        if conditions.is_empty() {
            shown.remove(&cluster);
        }
    }

    /// Removes the conditions of a kind from all clusters except these.
    pub(super) fn retain(&self, kind: &str, is_kept: impl Fn(&ClusterId) -> bool) {
        self.shown.lock().retain(|cluster, conditions| {
            conditions.retain(|condition| condition.kind != kind || is_kept(cluster));
            !conditions.is_empty()
        });
    }

    /// Removes all conditions of a cluster.
    pub(super) fn forget(&self, cluster: ClusterId) {
        self.shown.lock().remove(&cluster);
    }

    /// Continues with what the previous server with the lease has stored. Called before anything is changed under a
    /// lease; later calls do nothing.
    pub(super) async fn begin(&self, context: &Context, lease: &Lease) -> Result<()> {
        let mut saved = self.saved.lock().await;
        if saved.lease.as_ref() != Some(lease) {
            let conditions = read(context).await?;
            self.shown.lock().clone_from(&conditions);
            *saved = Saved { lease: Some(lease.clone()), conditions };
        }
        Ok(())
    }

    /// Stores the conditions if they have changed. After a failure, the next call does it.
    pub(super) async fn save(&self, context: &Context, lease: &Lease) {
        if let Err(error) = self.try_save(context, lease).await {
            tracing::warn!(error = error.chain(), "conditions of backups not stored");
        }
    }

    async fn try_save(&self, context: &Context, lease: &Lease) -> Result<()> {
        let mut saved = self.saved.lock().await;
        let conditions = self.shown.lock().clone();
        if saved.lease.as_ref() != Some(lease) || saved.conditions == conditions {
            return Ok(());
        }
        let document = serde_json::to_string(&conditions)
            .map_err(|error| Error::internal("could not encode the conditions of backups").because(error))?;
        let now = context.now();
        let mutation = match context.store.get(Kind::Setting, ROW).await? {
            Some(row) => Mutation::Update(Row { document, updated_at: now, ..row }),
            None => Mutation::Insert(documents::setting(ROW, document, now)),
        };
        let fence = Some(lease.clone());
        let batch = Batch { fence, quiet: true, ..Batch::server("backup conditions") }.with(mutation);
        context.store.commit(batch, now).await?;
        saved.conditions = conditions;
        Ok(())
    }

    /// Shows what another server has stored, while this one does not hold the lease. Ends when `stop` is true.
    pub(super) async fn follow(&self, context: &Context, mut stop: watch::Receiver<bool>) {
        let (mut leases, mut changes) = (context.lease.subscribe(), context.store.changes());
        loop {
            let holds_lease = leases.borrow_and_update().is_some();
            let work = async {
                if !holds_lease && let Err(error) = self.reread(context).await {
                    tracing::warn!(error = error.chain(), "conditions of backups not read");
                }
                let changed = async { while !is_about_row(&changes.recv().await) {} };
                tokio::select! {
                    _ = timeout(INTERVAL, changed) => {}
                    _ = leases.changed() => {}
                }
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = work => {}
            }
        }
    }

    async fn reread(&self, context: &Context) -> Result<()> {
        let mut saved = self.saved.lock().await;
        let conditions = read(context).await?;
        // With the lease, what this server has found counts.
        if context.lease.borrow().is_none() {
            self.shown.lock().clone_from(&conditions);
            *saved = Saved { lease: None, conditions };
        }
        Ok(())
    }
}

async fn read(context: &Context) -> Result<BackupConditions> {
    let Some(row) = context.store.get(Kind::Setting, ROW).await? else { return Ok(BackupConditions::new()) };
    serde_json::from_str(&row.document)
        .map_err(|error| Error::internal(format!("setting {ROW}: damaged")).because(error))
}

/// Whether the row may have changed.
fn is_about_row(hint: &Result<Changed, RecvError>) -> bool {
    !matches!(hint, Ok(changed) if changed.kind != Kind::Setting || changed.id != ROW)
}

/// How late a backup of the cluster is before the cluster gets the condition: the time between two backups, but at least
/// 15 minutes.
pub(super) fn longest_delay(cluster: &Cluster) -> Duration {
    let minutes = u64::from(cluster.backup_configuration().frequency_minutes);
    Duration::from_secs(60 * minutes).max(SHORTEST_DELAY)
}

/// The message for a cluster whose backup has been due since `due`. `newest` is the time of the newest backup.
pub(super) fn overdue(due: Timestamp, newest: Option<Timestamp>, reason: &str) -> String {
    let newest = match newest {
        Some(newest) => format!("The newest backup is from {newest}."),
        None => "There is no backup yet.".to_owned(),
    };
    format!(
        "A backup of this cluster has been due since {due} and was not taken: {reason}. {newest} The server continues to \
         try."
    )
}

/// Why a backup has failed, for users of the cluster. They see neither the URL of the repository nor what only operators
/// should know, which is in the log.
pub(super) fn reason(error: &Error, repository: &str) -> String {
    let of_repository = error.message().strip_prefix(&format!("backup repository {repository}: "));
    match of_repository.map(|what| what.strip_prefix("could not ").and_then(|what| what.split_once(": "))) {
        Some(Some((_, why))) => format!("the backup repository can't be used: {why}"),
        Some(None) => "the backup repository can't be used; the log of the server has the reason".to_owned(),
        None if error.kind() == ErrorKind::Unavailable => {
            "the cluster could not be read; the log of the server has the reason".to_owned()
        }
        None => "the log of the server has the reason".to_owned(),
    }
}

#[cfg(test)]
mod tests;
