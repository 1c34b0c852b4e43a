//! What the driver would find on this machine, for a report to people. Starts nothing.

use super::{
    binaries,
    cgroup::{Cgroups, Version},
    owner::Owner,
};
use ootheca_model::Result;
use std::path::{Path, PathBuf};

/// What the driver would find.
#[derive(Debug)]
pub struct Probe {
    /// Majors that can be used, newest first.
    pub majors: Vec<Major>,
    /// Whether the servers' user exists and can reach the data folder.
    pub owner: Result<()>,
    /// The version of control groups that bounds CPU, or why none does.
    pub cpu: Result<u32, String>,
}

/// An installed major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Major {
    /// For example 15.
    pub major: u32,
    /// For example `PostgreSQL 15.18`.
    pub version: String,
    /// Where its programs are.
    pub folder: PathBuf,
}

/// Looks. `programs` are more folders to look in, `user` is the servers' user under root, and `folder` is
/// one that it has to reach, or the nearest one of it that exists.
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
