//! Reports instances from the folder alone. The engine does not have to run.

use super::{claim::Claim, instance::VERSION, process};
use crate::InstanceReport;
use crate::files::names_in;
use ootheca_model::{Error, Result};
use std::{fs, path::Path};

/// Reports every instance in the engine's folder, sorted by cluster, epoch, and ID. Returns an empty list if the
/// folder does not exist.
pub fn report(folder: &Path) -> Result<Vec<InstanceReport>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let folder = fs::canonicalize(folder).map_err(|error| {
        Error::internal(format!("cannot read {}: {error}", folder.display())).because(error)
    })?;
    let instances = folder.join("instances");
    let mut reports: Vec<InstanceReport> = names_in(&instances)
        .into_iter()
        .map(|instance| {
            let folder = instances.join(&instance);
            let data = folder.join("data");
            let claim = Claim::read(&folder);
            InstanceReport {
                cluster: claim.map(|claim| claim.cluster),
                epoch: claim.map_or(0, |claim| claim.epoch),
                engine: fs::read_to_string(folder.join(VERSION)).unwrap_or_default(),
                pid: process::postmaster(&data).map(|lock| lock.pid),
                instance,
                data,
            }
        })
        .collect();
    reports.sort_by(|a, b| (a.cluster, a.epoch, &a.instance).cmp(&(b.cluster, b.epoch, &b.instance)));
    Ok(reports)
}
