//! Clusters whose data is not here: what is missing, and whether it was put back.

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

/// The outcome of a search for a cluster's data.
pub(super) enum Found {
    Here(Arc<Instance>),
    /// What was looked for, and where.
    Missing(String),
}

impl Shared {
    /// Looks for the data of a cluster that had none at the start, and takes it in if it was put back.
    pub(super) async fn find(self: &Arc<Self>, cluster: ClusterId) -> Result<Found> {
        let instances = self.host.instances();
        let Some(id) = self.claimed_folder(cluster).await? else {
            let message = format!("no instance in {} belongs to the cluster", instances.display());
            return Ok(Found::Missing(message));
        };
        let data = instances.join(&id).join("data");
        let Some(programs) = self.programs_of(&data) else { return Ok(Found::Missing(incomplete(&data))) };
        let instance = Instance::new(&self.host, &id, &programs);
        if !instance.adopt() {
            instance.found_empty();
        }
        tracing::info!(%cluster, instance = id, "data of the cluster found again");
        self.take_in(cluster, instance).map(Found::Here)
    }

    /// The name of the instance on disk that a cluster has claimed.
    pub(super) async fn claimed_folder(&self, cluster: ClusterId) -> Result<Option<String>> {
        let instances = self.host.instances();
        let claimed = move || {
            names_in(&instances).into_iter().find(|id| read_cluster(&instances.join(id)) == Some(cluster))
        };
        blocking(move || Ok(claimed())).await
    }
}

/// The file without which PostgreSQL does not take a folder for a data directory.
pub(super) fn version_file(data: &Path) -> PathBuf {
    data.join("PG_VERSION")
}

/// The message about a data directory without that file.
pub(super) fn incomplete(data: &Path) -> String {
    format!("the data directory {} is missing or incomplete", data.display())
}
