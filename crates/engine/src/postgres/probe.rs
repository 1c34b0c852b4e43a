//! Detects what the driver would use on this machine, for diagnostics. Starts nothing.

use super::{
    binaries,
    cgroup::{Cgroups, Version},
    owner::Owner,
};
use ootheca_model::Result;
use std::path::{Path, PathBuf};

/// What the driver would use on this machine.
#[derive(Debug)]
pub struct Probe {
    /// Usable major versions, newest first.
    pub majors: Vec<Major>,
    /// Whether the servers' user exists and can reach the data folder.
    pub owner: Result<()>,
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

/// Detects what the driver would use. `programs` are additional folders to search, and `user` is the servers'
/// user under root. `folder` is the folder that this user must be able to reach, or its nearest existing
/// ancestor.
pub fn probe(programs: &[PathBuf], user: &str, folder: &Path) -> Probe {
    let owner = Owner::find(user);
    let majors = owner.as_ref().map_or_else(
        |_| Vec::new(),
        |owner| binaries::find(programs, owner).into_iter().map(Major::from).collect(),
    );
    let cpu = Cgroups::find().version().map(|version| match version {
        Version::V1 => 1,
        Version::V2 => 2,
    });
    Probe { majors, owner: owner.and_then(|owner| owner.check_reach(folder)), cpu }
}

impl From<binaries::Programs> for Major {
    fn from(found: binaries::Programs) -> Self {
        Self { major: found.major, version: found.version, folder: found.folder }
    }
}
