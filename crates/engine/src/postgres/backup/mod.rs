//! Backups: bases, which are copies of the data directory, and the WAL that the server archives to its spool.
//!
//! The base of a running server (`base.rs`) is consistent only together with WAL. A restore (`restore.rs`) unpacks a
//! base, adds the WAL segments until the recovery point, and starts a server that replays them (`recovery.rs`). Only the
//! recovery to a moment between recovery points begins a new timeline. A restore of databases or tables
//! (`objects/mod.rs`) copies them from the server that was restored that way. A clone (`clone.rs`) is a base of another
//! cluster that is copied from file to file.

mod archiving;
mod base;
mod clone;
mod control_file;
mod data_files;
mod label;
mod objects;
mod recovery;
mod restore;
mod spool;
mod tar_stream;
mod unpack;
pub(super) mod wal;
mod work;

pub(super) use archiving::LastSegment;
pub(super) use objects::IS_TEMPORARY;
pub(super) use recovery::Recovery;
pub(super) use spool::{archive_options, prepare_spool};

use super::{
    claim::Claim,
    instance::{Instance, InstanceState, Stage},
    server::not_ready,
    shared::Shared,
    table::ClusterSlot,
};
use crate::files::blocking;
use ootheca_model::{Error, ErrorKind, Result};
use std::sync::Arc;
use tokio::sync::watch;

/// What the server of an instance does while it is backed up.
enum ServerState {
    Running,
    /// It is suspended. The receiver reports every change since.
    Stopped(watch::Receiver<InstanceState>),
}

impl Shared {
    /// The instance that serves the cluster, if that has this epoch.
    pub(super) fn serving_epoch(&self, claim: Claim) -> Result<Arc<Instance>> {
        let table = self.table();
        let current = match table.clusters.get(&claim.cluster) {
            Some(ClusterSlot::Claimed(instance)) if instance.epoch() == claim.epoch => {
                return Ok(instance.clone());
            }
            Some(ClusterSlot::Claimed(instance)) => instance.epoch(),
            Some(ClusterSlot::Replacing { plan, .. } | ClusterSlot::Making { plan, .. }) => plan.epoch,
            Some(ClusterSlot::Removing(_)) | None => {
                return Err(Error::unavailable("no instance serves the cluster"));
            }
        };
        if current == claim.epoch {
            return Err(Error::unavailable("the cluster is being changed"));
        }
        let message = format!("the cluster is served with data epoch {current} instead of {}", claim.epoch);
        Err(Error::new(ErrorKind::Stale, message))
    }
}

impl Instance {
    /// The names of the archived segments that are in the spool, in order.
    pub(super) async fn segments(&self) -> Result<Vec<String>> {
        let spool = self.spool();
        blocking(move || Ok(spool::segments(&spool))).await
    }

    pub(super) async fn read_segment(&self, name: &str) -> Result<Vec<u8>> {
        let (spool, name) = (self.spool(), name.to_owned());
        blocking(move || spool::read(&spool, &name)).await
    }

    /// Removes the segments up to and including `last` from the spool.
    pub(super) async fn remove_segments(&self, last: &str) -> Result<()> {
        let (spool, last) = (self.spool(), last.to_owned());
        blocking(move || spool::remove(&spool, &last)).await
    }

    /// `Unavailable` while the server starts or stops.
    fn server_state(&self) -> Result<ServerState> {
        if self.ready_pid().is_some() {
            return Ok(ServerState::Running);
        }
        // Subscribed first, so that the state cannot change unnoticed after it was read.
        let states = self.state.subscribe();
        let stopped = {
            let state = states.borrow();
            state.stage == Stage::Down && state.off() && state.empty
        };
        if stopped { Ok(ServerState::Stopped(states)) } else { Err(not_ready()) }
    }
}

/// The error for a server that was started without WAL archiving.
fn archiving_off() -> Error {
    Error::precondition("the SQL server was started without WAL archiving, which begins at its next start")
}
