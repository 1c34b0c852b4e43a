//! Builds staged instances: complete data directories of a later data epoch, whose server doesn't run.
//!
//! The claim comes last. Until then the instance belongs to no cluster, so the next start removes what a crash left.
//! `backup/restore.rs` builds one from a backup, and `backup/clone.rs` from the present data of another cluster.

use super::{
    binaries::Programs,
    claim::Claim,
    context::{EngineContext, new_id},
    copy::make_private_folder,
    instance::{Instance, SPARE_READY},
    owner::Owner,
    pool,
    shared::Shared,
    table::ClusterSlot,
    trash,
};
use crate::{
    Source,
    files::{blocking, sync_file_system, write_atomically},
};
use ootheca_durable::failpoint;
use ootheca_model::{ClusterId, Error, ErrorKind, Result, backup::MaskingScript};
use rustix::io::Errno;
use std::{io, iter, path::PathBuf, sync::Arc, time::Duration};
use tokio::time::sleep;

/// How often it is checked whether a staging is still wanted.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// What marks a complete staged instance. It is the name of no template, so the instance never becomes a spare.
const STAGED: &[u8] = b"staged";

impl Shared {
    /// Builds a staged instance, unless there is one of this epoch.
    pub(super) async fn stage(
        self: &Arc<Self>,
        claim: Claim,
        source: &Source,
        masking: Option<&MaskingScript>,
    ) -> Result<()> {
        self.context.secret()?;
        self.note_request();
        let Some(guard) = self.begin() else { return Err(Error::unavailable("the engine is shutting down")) };
        let (shared, source, masking) = (self.clone(), source.clone(), masking.cloned());
        // Spawned, so that a disconnecting caller cannot cancel it.
        let work = tokio::spawn(async move {
            let _guard = guard;
            let _alone = shared.begin_change(claim.cluster).await;
            let Some(programs) = shared.programs_to_stage(claim, &source)? else { return Ok(()) };
            shared.build(claim, &programs, &source, masking.as_ref()).await
        });
        work.await.unwrap_or_else(|error| Err(Error::internal("a staging was interrupted").because(error)))
    }

    /// The programs for a staged instance; `None` if there is one of this epoch.
    fn programs_to_stage(&self, claim: Claim, source: &Source) -> Result<Option<Programs>> {
        let table = self.table();
        let (instance, current) = match table.clusters.get(&claim.cluster) {
            Some(ClusterSlot::Claimed(instance)) => (instance, instance.epoch()),
            Some(ClusterSlot::Replacing { from, plan }) => (from, plan.epoch),
            Some(ClusterSlot::Making { .. } | ClusterSlot::Removing(_)) => {
                return Err(Error::unavailable("the cluster is being changed"));
            }
            None => return Err(Error::precondition("the cluster has no instance")),
        };
        if claim.epoch <= current {
            let message = format!("epoch {} is not later than the current epoch {current}", claim.epoch);
            return Err(Error::new(ErrorKind::Stale, message));
        }
        if table.idle.contains_key(&(claim.cluster, claim.epoch)) {
            return Ok(None);
        }
        let major = match source {
            Source::Primary(_) => return Err(Error::internal("only a standby is built from the primary")),
            Source::Empty => instance.programs.major.to_string(),
            Source::Backup(reader) => reader.engine_major().to_owned(),
            Source::Cluster(from) => {
                // Whether this is the instance that serves is checked when its data is copied.
                let instance = table.serving(from.cluster).or_else(|| table.idle_of(from.cluster).next());
                let missing = || match table.clusters.get(&from.cluster) {
                    Some(ClusterSlot::Making { .. }) => {
                        Error::unavailable("the source cluster is being created")
                    }
                    _ => Error::not_found("source cluster"),
                };
                instance.ok_or_else(missing)?.programs.major.to_string()
            }
        };
        self.context.programs(&major).cloned().map(Some)
    }

    async fn build(
        self: &Arc<Self>,
        claim: Claim,
        programs: &Programs,
        source: &Source,
        masking: Option<&MaskingScript>,
    ) -> Result<()> {
        // Claimed, but not usable: its data was damaged later.
        for (id, found) in self.claimed_folders(claim.cluster).await? {
            if found.epoch == claim.epoch {
                trash::discard(&self.context, &id).await?;
            }
        }
        let id = new_id();
        let built = match source {
            Source::Empty => self.copy_empty(claim.cluster, programs, &id).await,
            Source::Backup(reader) => self.restore(claim.cluster, programs, &id, &**reader).await,
            Source::Cluster(from) => self.clone_data(claim.cluster, programs, &id, from).await,
            Source::Primary(_) => Err(Error::internal("only a standby is built from the primary")),
        };
        let published = match built {
            Ok(folder) => self.finish(claim, programs, &id, folder, masking).await,
            Err(error) => Err(error),
        };
        let published = published.map_err(unless_damaged);
        if published.is_err() {
            pool::discard_unfinished(&self.context, &id).await;
        }
        published
    }

    /// Copies the template to the folder of a new instance, which is returned.
    async fn copy_empty(
        self: &Arc<Self>,
        cluster: ClusterId,
        programs: &Programs,
        id: &str,
    ) -> Result<PathBuf> {
        let template = self.template(programs).await?;
        let shared = self.clone();
        pool::copy_template(&self.context, id, template, move || !shared.is_claimed(cluster)).await
    }

    /// Adapts complete data to its cluster, and claims the instance.
    async fn finish(
        &self,
        claim: Claim,
        programs: &Programs,
        id: &str,
        folder: PathBuf,
        masking: Option<&MaskingScript>,
    ) -> Result<()> {
        self.adapt(claim.cluster, programs, id, &folder, masking).await?;
        self.publish(claim, programs, id, folder).await
    }

    /// Makes a complete instance durable, and claims it.
    pub(super) async fn publish(
        &self,
        claim: Claim,
        programs: &Programs,
        id: &str,
        folder: PathBuf,
    ) -> Result<()> {
        blocking(move || {
            sync_file_system(&folder)?;
            write_atomically(&folder, SPARE_READY, STAGED)?;
            failpoint::reach("staged instance complete");
            if !claim.publish(&folder)? {
                return Err(Error::internal("a staged instance is already claimed"));
            }
            failpoint::reach("staged instance claimed");
            Ok(())
        })
        .await?;
        let instance = Instance::new(&self.context, id, programs);
        instance.found_empty();
        let cluster = claim.cluster;
        let mut table = self.table();
        if table.serving(cluster).is_none() {
            // The caller discards it.
            return Err(Error::unavailable("the cluster is being removed"));
        }
        match claim.node {
            Some(_) => table.add_standby(instance),
            None => table.idle.insert((cluster, claim.epoch), instance),
        };
        self.context.hint(Some(cluster));
        Ok(())
    }

    /// Whether the engine shuts down, or the cluster that gets the data is being removed.
    pub(super) fn is_staging_interrupted(&self, cluster: ClusterId) -> bool {
        self.context.closing() || !self.is_claimed(cluster)
    }

    /// Waits until the engine shuts down, or the cluster that gets the data is being removed.
    pub(super) async fn staging_interrupted(&self, cluster: ClusterId) {
        while !self.is_staging_interrupted(cluster) {
            sleep(CHECK_INTERVAL).await;
        }
    }

    /// Whether the cluster has an instance and is not being removed.
    pub(super) fn is_claimed(&self, cluster: ClusterId) -> bool {
        self.table().serving(cluster).is_some()
    }
}

/// Creates the folder of an instance with an empty data directory.
pub(super) async fn create_data_folder(context: &Arc<EngineContext>, id: &str) -> Result<(PathBuf, Owner)> {
    let (context, id) = (context.clone(), id.to_owned());
    blocking(move || {
        let folder = Instance::make_folder(&context, &id)?;
        let owner = context.new_owner(&id, &folder)?;
        make_private_folder(&folder.join("data"), &owner)?;
        Ok((folder, owner))
    })
    .await
}

/// What the machine lacks says nothing about the source, so it is tried again.
fn unless_damaged(error: Error) -> Error {
    use io::ErrorKind::{OutOfMemory, QuotaExceeded, StorageFull, WouldBlock};
    let files = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    let first: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let lacks = iter::successors(first, |cause| cause.source())
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| {
            matches!(cause.kind(), OutOfMemory | QuotaExceeded | StorageFull | WouldBlock)
                || cause.raw_os_error().is_some_and(|code| files.contains(&code))
        });
    if lacks && error.kind() == ErrorKind::Internal {
        let message = "the machine lacks disk space, memory, processes, or open files";
        return Error::unavailable(message).because(error);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_lacks_is_no_damage() {
        let kind = |errno: Errno| {
            let cause = io::Error::from_raw_os_error(errno.raw_os_error());
            unless_damaged(Error::internal("cannot write a file").because(cause)).kind()
        };
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::NOMEM, Errno::AGAIN, Errno::MFILE, Errno::NFILE] {
            assert_eq!(kind(errno), ErrorKind::Unavailable, "{errno}");
        }
        assert_eq!(kind(Errno::NOENT), ErrorKind::Internal);
        assert_eq!(unless_damaged(Error::internal("damaged")).kind(), ErrorKind::Internal);
    }
}
