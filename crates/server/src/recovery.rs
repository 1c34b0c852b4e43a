//! `ootheca recover`: prepares an empty data directory with the newest copy of the control store in a repository of
//! backups.
//!
//! It lets every active cluster be restored from its newest backup: the row gets a restore, and the state CREATING. The
//! next start of the server creates an empty instance for it, locks the cluster, and restores the backup as usual. The
//! creation of a clone begins again.

use crate::{
    clock::SystemClock,
    data_dir::{self, DataDir},
    documents::{self, Stored},
    ids::fresh_id,
    ownership::Owner,
    private_files,
    settings::{Settings, hostname},
};
use ootheca_backups::{RecoveryKey, Repository};
use ootheca_durable::{failpoint, file};
use ootheca_model::{
    Cluster, ClusterId, ClusterState, Error, ErrorKind, Result, Timestamp,
    backup::{
        Backup, Base, NewRestore, RecoveryPoint, Restore, RestoreFailure, RestoreInProgress, RestoreOptions,
        RestoreStatus, RestoreType, create_restore,
    },
    cluster::ObservedCluster,
    time::Clock as _,
};
use ootheca_store::{Batch, Kind, Position, Query, Store};
use rand::RngExt;
use serde::Serialize;
use std::{
    fs::{self, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// What the data directory may contain: a repository of backups, and what is left of an interrupted recovery.
const ALLOWED: [&str; 5] = ["backups", "engine-id", "lock", "lost+found", DRAFT];
/// The copy of the store, until it is complete.
const DRAFT: &str = "store.recovery";
/// The copy can be older than the newest objects in the repository. So that the first backups after the recovery don't
/// meet those of a restore that it does not contain, this number of data epochs is left out.
const EPOCHS: u64 = 1000;
/// The code of gRPC for a restore that was running.
const ABORTED: i32 = 10;
/// The setting with the recovery key, as hexadecimal digits.
pub(crate) const RECOVERY_KEY: &str = "recovery-key";
/// The number of recovery points that are read at once.
const PORTION: usize = 100;

/// What was recovered.
#[derive(Clone, Debug, Serialize)]
pub struct Recovered {
    /// The time of the copy of the control store.
    pub control_store: Timestamp,
    /// The active clusters, by name.
    pub clusters: Vec<RecoveredCluster>,
}

/// A cluster of a recovered store.
#[derive(Clone, Debug, Serialize)]
pub struct RecoveredCluster {
    pub id: ClusterId,
    pub name: String,
    /// The time of the backup that will be restored; `None` if there is none, so that the data is lost.
    pub backup: Option<Timestamp>,
}

/// Prepares the data directory in the settings for the next start. `key` is the text of the recovery key. Uses the newest
/// copy of the control store, or the newest one until `until`. A store in PostgreSQL must already contain a backup of its
/// own.
pub async fn recover(mut settings: Settings, key: &str, until: Option<Timestamp>) -> Result<Recovered> {
    failpoint::arm();
    let key: RecoveryKey = key.parse()?;
    settings.data_dir = data_dir::absolute(&settings.data_dir)?;
    check_empty(&settings.data_dir)?;
    let target = settings.store_url().strip_prefix("sqlite:").map(PathBuf::from);
    if let Some(path) = target.as_ref().filter(|path| path.exists()) {
        return Err(Error::precondition(format!("store: {} exists already", path.display())));
    }
    let repository = Repository::open(&settings.backups_url(), key.clone(), false).await?;
    let copies = repository.control_copies().await?;
    let found = copies.into_iter().rfind(|time| until.is_none_or(|until| *time <= until));
    let control_store = found.ok_or_else(|| no_copy(until))?;
    let data = DataDir::open(&settings.data_dir, Duration::ZERO).await?;
    let draft =
        target.as_ref().map_or_else(|| data.path().join(DRAFT), |path| path.with_extension("recovery"));
    download(&repository, control_store, &draft).await?;
    let now = SystemClock.now();
    let copy = ootheca_store::open(&format!("sqlite:{}", draft.display())).await?;
    let clusters = match &target {
        Some(_) => begin(&*copy, &key, &data, now).await?,
        None => begin(&*ootheca_store::open(&settings.store_url()).await?, &key, &data, now).await?,
    };
    private_files::write_all(&*copy, &data).await?;
    private_files::forget(&*copy, now).await?;
    copy.close().await?;
    drop(copy);
    let finished = match &target {
        Some(path) => fs::rename(&draft, path).and_then(|()| file::sync_parent(path)),
        None => fs::remove_file(&draft),
    };
    finished.map_err(|error| failed("finish", &draft, error))?;
    failpoint::reach("recovered store published");
    Ok(Recovered { control_store, clusters })
}

fn check_empty(data_dir: &Path) -> Result<()> {
    let entries = match fs::read_dir(data_dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| failed("read", data_dir, error))?,
    };
    for entry in entries {
        let name = entry.map_err(|error| failed("read", data_dir, error))?.file_name();
        let name = name.to_string_lossy();
        // Files of SQLite have the name of the copy as well.
        if !ALLOWED.contains(&&*name) && !name.starts_with(&format!("{DRAFT}-")) {
            let rule = format!(
                "must be an empty directory, but {} contains {name}; recover into another one, or move its content away",
                data_dir.display()
            );
            return Err(Error::invalid("data_dir", rule));
        }
    }
    Ok(())
}

fn no_copy(until: Option<Timestamp>) -> Error {
    let when = until.map(|until| format!(" from until {until}")).unwrap_or_default();
    let message = format!(
        "the backup repository contains no copy of the control store{when}; the first one is taken with the first backup"
    );
    Error::new(ErrorKind::NotFound, message)
}

async fn download(repository: &Repository, time: Timestamp, to: &Path) -> Result<()> {
    for name in ["", "-wal", "-shm"] {
        let mut left = to.as_os_str().to_owned();
        left.push(name);
        match fs::remove_file(&left) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed("remove", Path::new(&left), error));
            }
            _ => {}
        }
    }
    let mut content = repository.read_control_copy(time).await?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let mut file = tokio::fs::File::from_std(file.map_err(|error| failed("create", to, error))?);
    tokio::io::copy(&mut content, &mut file).await.map_err(|error| {
        let message = format!("the copy of the control store of {time} could not be read");
        match error.kind() {
            std::io::ErrorKind::InvalidData => Error::internal(message).because(error),
            _ => Error::unavailable(message).because(error),
        }
    })?;
    file.sync_all().await.map_err(|error| failed("write", to, error))?;
    failpoint::reach("copy of the control store stored");
    Ok(())
}

fn failed(action: &str, path: &Path, error: std::io::Error) -> Error {
    Error::unavailable(format!("could not {action} {}", path.display())).because(error)
}

/// Lets the engine of this data directory own the store, and all active clusters be restored.
async fn begin(
    store: &dyn Store,
    key: &RecoveryKey,
    data: &DataDir,
    now: Timestamp,
) -> Result<Vec<RecoveredCluster>> {
    check_installation(store, key).await?;
    Owner::of(data, hostname())?.claim(store, true, now).await?;
    let mut clusters = Vec::new();
    for row in store.list(&Query::active(Kind::Cluster)).await? {
        let cluster = documents::decode::<Cluster>(row)?;
        let backup = begin_restore(store, &cluster, now).await?;
        clusters.push(RecoveredCluster { id: cluster.value.id, name: cluster.value.name, backup });
    }
    Ok(clusters)
}

/// Returns `Precondition` if a store is empty, or belongs to another installation: the clusters of that one would be
/// restored from backups that this repository does not contain.
async fn check_installation(store: &dyn Store, key: &RecoveryKey) -> Result<()> {
    let organizations = store.list(&Query { limit: 1, ..Query::all(Kind::Organization) }).await?;
    if organizations.is_empty() {
        return Err(Error::precondition(
            "store: it has no organization; if the installation had its store in PostgreSQL, restore a backup of that \
             database first, and name it with --store; otherwise, omit --store",
        ));
    }
    let Some(row) = store.get(Kind::Setting, RECOVERY_KEY).await? else { return Ok(()) };
    let damaged = |error: Error| Error::internal(format!("setting {RECOVERY_KEY}: damaged")).because(error);
    let known = row.document.parse::<RecoveryKey>().map_err(damaged)?.fingerprint();
    let given = key.fingerprint();
    if known != given {
        return Err(Error::precondition(format!(
            "store: it belongs to another installation: its recovery key is {known}, but that of the repository is \
             {given}"
        )));
    }
    Ok(())
}

/// Lets a cluster be restored. Returns the time of the backup.
async fn begin_restore(
    store: &dyn Store,
    stored: &Stored<Cluster>,
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    let cluster = &stored.value;
    let interrupted = match &cluster.restore {
        Some(running) => documents::find::<Restore>(store, &running.id).await?,
        None => None,
    };
    if cluster.state == ClusterState::Creating {
        return match interrupted {
            Some(restore) if cluster.restore.as_ref().is_some_and(|running| running.creates) => {
                begin_clone(store, stored, &restore.value, now).await
            }
            // It is new, or an earlier recovery has begun its restore. It may have been backed up after the copy of the
            // store, so it gets epochs without backups.
            restore => {
                let (epoch, running) = (cluster.epoch + EPOCHS, with_unused_epoch(cluster));
                let after = Cluster { epoch, restore: running, ..cluster.clone() };
                let batch = Batch::server("recover").with(documents::update(&stored.row, &after)?);
                store.commit(batch, now).await?;
                Ok(restore.map(|restore| restore.value.backup_end_time))
            }
        };
    }
    let replacing =
        interrupted.as_ref().map(|restore| &restore.value).filter(|_| cluster.is_being_replaced());
    let chosen = match replacing {
        // This is the data that the cluster was to have.
        Some(restore) => find_point(store, restore).await?,
        None => newest_point(store, cluster.id).await?,
    };
    let (Some((point, base)), source) = (chosen, replacing.map_or(cluster.id, |restore| restore.source))
    else {
        return Ok(None);
    };
    let source = documents::find::<Cluster>(store, &source.to_string()).await?;
    let source = source.ok_or_else(|| Error::internal("the source of a restore is not in the store"))?;
    let named = replacing
        .and_then(|restore| restore.backup.map(|id| Backup { id, as_of_time: restore.backup_end_time }));
    let backup = named.or_else(|| last_backup(&point.value));
    let backup = backup.ok_or_else(|| Error::internal("a recovery point without a backup"))?;
    let point_in_time = replacing.and_then(|restore| restore.point_in_time.clone());
    let destination = Cluster {
        state: ClusterState::Created,
        restore: None,
        observed: ObservedCluster::default(),
        ..cluster.clone()
    };
    let request = NewRestore {
        id: fresh_id().to_string(),
        job: rand::rng().random_range(1..=i64::MAX),
        kind: RestoreType::Cluster,
        objects: Vec::new(),
        options: RestoreOptions::default(),
    };
    let (restore, locked) = create_restore(
        &destination,
        &source.value,
        &point.value,
        &base.value,
        backup,
        point_in_time,
        request,
        now,
    )?;
    // The empty instance has an epoch of its own: if the restore fails, its backups must not continue those of the data
    // that was lost.
    let epoch = cluster.epoch + EPOCHS;
    let running = locked.restore.clone();
    let running = running.map(|running| RestoreInProgress { epoch: epoch + 1, ..running });
    let after = Cluster { state: ClusterState::Creating, epoch, restore: running, ..locked };
    let mut batch = Batch::server("recover")
        .with(documents::insert(&restore)?)
        .with(documents::update(&stored.row, &after)?);
    if let Some(interrupted) = interrupted {
        let message = "the restore was interrupted by the loss of the machine".to_owned();
        let ended = Restore {
            status: RestoreStatus::Failed,
            completed_at: Some(now),
            failure: Some(RestoreFailure { code: ABORTED, message }),
            ..interrupted.value
        };
        batch.mutations.push(documents::update(&interrupted.row, &ended)?);
    }
    store.commit(batch, now).await?;
    Ok(Some(backup.as_of_time))
}

/// The restore that was running, with a data epoch that has no backups.
fn with_unused_epoch(cluster: &Cluster) -> Option<RestoreInProgress> {
    let running = cluster.restore.clone()?;
    Some(RestoreInProgress { epoch: running.epoch + EPOCHS, ..running })
}

/// Lets the creation of a clone begin again. Returns the time of the backup that it begins with. The present data of the
/// source is then that of its newest backup.
async fn begin_clone(
    store: &dyn Store,
    stored: &Stored<Cluster>,
    restore: &Restore,
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    let cluster = &stored.value;
    let after = Cluster { restore: with_unused_epoch(cluster), ..cluster.clone() };
    let batch = Batch::server("recover").with(documents::update(&stored.row, &after)?);
    store.commit(batch, now).await?;
    if restore.backup.is_some() {
        return Ok(Some(restore.backup_end_time));
    }
    let newest = newest_point(store, restore.source).await?;
    Ok(newest.and_then(|(point, _)| last_backup(&point.value)).map(|backup| backup.as_of_time))
}

/// The last backup of a recovery point, also if it has expired meanwhile.
fn last_backup(point: &RecoveryPoint) -> Option<Backup> {
    point.backups(point.unchanged_until).next_back()
}

type Point = (Stored<RecoveryPoint>, Stored<Base>);

async fn find_point(store: &dyn Store, restore: &Restore) -> Result<Option<Point>> {
    let Some(id) = restore.recovery_point else { return Ok(None) };
    let found = documents::find::<RecoveryPoint>(store, &id.to_string()).await?;
    match found {
        Some(point) => with_base(store, point).await,
        None => Ok(None),
    }
}

/// The newest recovery point of a cluster that is not known to be damaged.
async fn newest_point(store: &dyn Store, cluster: ClusterId) -> Result<Option<Point>> {
    let parent = Some(cluster.to_string());
    let mut query = Query { parent, descending: true, limit: PORTION, ..Query::all(Kind::RecoveryPoint) };
    loop {
        let rows = store.list(&query).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        query.after = Some(Position::of(last, query.order));
        for row in rows {
            let point = documents::decode::<RecoveryPoint>(row)?;
            if !point.value.damaged
                && let Some(found) = with_base(store, point).await?
            {
                return Ok(Some(found));
            }
        }
    }
}

async fn with_base(store: &dyn Store, point: Stored<RecoveryPoint>) -> Result<Option<Point>> {
    let base = documents::find::<Base>(store, &point.value.base).await?;
    Ok(base.map(|base| (point, base)))
}

#[cfg(test)]
mod tests;
