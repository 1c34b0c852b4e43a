//! Handles clusters whose data is missing: reports what is missing and detects restored data.

use super::{
    claim::{self, Claim},
    instance::Instance,
    shared::Shared,
};
use crate::files::blocking;
use ootheca_model::{ClusterId, Result};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The result of a search for a cluster's data.
pub(super) enum DataSearch {
    /// It is registered now.
    Found,
    /// What was searched for, and where.
    Missing(String),
}

impl Shared {
    /// Searches for data that was not there at startup, and registers it if it was restored.
    pub(super) async fn find(self: &Arc<Self>, claim: Claim) -> Result<DataSearch> {
        let instances = self.context.instances();
        let claimed = self.claimed_folders(claim.cluster).await?;
        let Some((id, _)) = claimed.into_iter().find(|(_, found)| found.can_be(&claim)) else {
            let message = match claim.epoch {
                0 => format!("no instance in {} belongs to the cluster", instances.display()),
                epoch => {
                    format!("no instance in {} has data epoch {epoch} of the cluster", instances.display())
                }
            };
            return Ok(DataSearch::Missing(message));
        };
        let data = instances.join(&id).join("data");
        let Some(programs) = self.programs_of(&data) else {
            return Ok(DataSearch::Missing(incomplete(&data)));
        };
        let instance = Instance::new(&self.context, &id, &programs);
        if !instance.adopt() {
            instance.found_empty();
        }
        tracing::info!(cluster = %claim.cluster, instance = id, "found restored data of cluster");
        self.register(claim, instance)?;
        Ok(DataSearch::Found)
    }

    /// The instances on disk that a cluster has claimed, complete or not.
    pub(super) async fn claimed_folders(&self, cluster: ClusterId) -> Result<Vec<(String, Claim)>> {
        let instances = self.context.instances();
        blocking(move || {
            Ok(claim::claimed(&instances).filter(|(_, claim)| claim.cluster == cluster).collect())
        })
        .await
    }
}

/// The file that PostgreSQL requires in a data directory.
pub(super) fn version_file(data: &Path) -> PathBuf {
    data.join("PG_VERSION")
}

/// The message about a data directory without that file.
pub(super) fn incomplete(data: &Path) -> String {
    format!("the data directory {} is missing or incomplete", data.display())
}
