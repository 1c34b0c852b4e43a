//! Handles clusters whose data is missing: reports what is missing and detects restored data.

use super::{
    instance::{Instance, read_cluster},
    shared::Shared,
};
use crate::files::{blocking, names_in};
use ootheca_model::{ClusterId, Result};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The result of a search for a cluster's data.
pub(super) enum DataSearch {
    Found(Arc<Instance>),
    /// What was searched for, and where.
    Missing(String),
}

impl Shared {
    /// Searches for the data of a cluster that had none at startup, and registers it if it was restored.
    pub(super) async fn find(self: &Arc<Self>, cluster: ClusterId) -> Result<DataSearch> {
        let instances = self.context.instances();
        let Some(id) = self.claimed_folder(cluster).await? else {
            let message = format!("no instance in {} belongs to the cluster", instances.display());
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
        tracing::info!(%cluster, instance = id, "found restored data of cluster");
        self.register(cluster, instance).map(DataSearch::Found)
    }

    /// The id of the instance on disk that a cluster has claimed.
    pub(super) async fn claimed_folder(&self, cluster: ClusterId) -> Result<Option<String>> {
        let instances = self.context.instances();
        let claimed = move || {
            names_in(&instances).into_iter().find(|id| read_cluster(&instances.join(id)) == Some(cluster))
        };
        blocking(move || Ok(claimed())).await
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
