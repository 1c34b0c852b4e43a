//! Detects what the driver would use on this machine, for diagnostics. Starts nothing.

use super::{
    Settings, binaries,
    cgroup::{Cgroups, Version},
    context::CONTROL_USER,
    owner::Owner,
    owners::Owners,
    sandbox::Sandbox,
};
use crate::launcher::Enforcement;
use ootheca_model::{Error, Result};
use std::path::PathBuf;

/// What the driver would use on this machine.
#[derive(Debug)]
pub struct Probe {
    /// Usable major versions, newest first.
    pub majors: Vec<Major>,
    /// Whether the servers' users exist and can reach the data directory.
    pub owner: Result<()>,
    pub sandbox: SandboxProbe,
    /// Why servers of clusters with several nodes could connect to those of other clusters.
    pub sandbox_reduced: Option<String>,
    /// The version of control groups that limits CPU, or the reason why none does.
    pub cpu: Result<u32, String>,
}

/// An installed major version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Major {
    /// The number, for example 15.
    pub major: u32,
    /// The full version, for example `PostgreSQL 15.18`.
    pub version: String,
    /// The directory of its programs.
    pub folder: PathBuf,
}

/// Whether servers run in a sandbox.
#[derive(Debug)]
pub enum SandboxProbe {
    /// They are started without one.
    Off,
    /// No PostgreSQL server was found.
    NotChecked,
    Enforced(Enforcement),
    /// No server starts in it.
    Failed(Error),
}

/// Detects what the driver would use. The folder in the settings is the one that the users of the servers must be
/// able to reach, or its nearest existing ancestor.
pub fn probe(settings: &Settings) -> Probe {
    let owner = Owner::find(settings.user.as_deref().unwrap_or(CONTROL_USER));
    let programs =
        owner.as_ref().map_or_else(|_| Vec::new(), |owner| binaries::find(&settings.programs, owner));
    let sandbox = match (&settings.launcher, &owner, programs.first()) {
        (None, ..) => SandboxProbe::Off,
        (Some(launcher), Ok(owner), Some(newest)) => {
            let check = Sandbox::start_check(launcher, &settings.sandbox_paths, owner, newest);
            match check.and_then(|check| check.finish_check()) {
                Ok(enforcement) => SandboxProbe::Enforced(enforcement),
                Err(error) => SandboxProbe::Failed(error),
            }
        }
        _ => SandboxProbe::NotChecked,
    };
    let cpu = Cgroups::find().version().map(|version| match version {
        Version::V1 => 1,
        Version::V2 => 2,
    });
    let users = owner.and_then(|owner| check_users(&owner, settings));
    let sandbox_reduced = users
        .as_ref()
        .ok()
        .filter(|_| matches!(sandbox, SandboxProbe::Enforced(_)))
        .and_then(|users| users.nodes_unavailable().map(str::to_owned));
    Probe {
        majors: programs.into_iter().map(Major::from).collect(),
        owner: users.map(drop),
        sandbox,
        sandbox_reduced,
        cpu,
    }
}

fn check_users(owner: &Owner, settings: &Settings) -> Result<Owners> {
    owner.check_reach(&settings.folder)?;
    let owners = Owners::find(&settings.uid_range)?;
    if let Some(sample) = owners.sample() {
        sample.check_reach(&settings.folder)?;
    }
    owners.check_nodes(&settings.folder);
    Ok(owners)
}

impl From<binaries::Programs> for Major {
    fn from(found: binaries::Programs) -> Self {
        Self { major: found.major, version: found.version, folder: found.folder }
    }
}
