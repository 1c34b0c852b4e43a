//! Finds the installed PostgreSQL major versions.

use super::owner::Owner;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The oldest major version that has the roles `pg_read_all_data` and `pg_write_all_data`.
const OLDEST: u32 = 14;

/// The programs of one major version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Programs {
    /// For example 15.
    pub(super) major: u32,
    /// For example `PostgreSQL 15.18`.
    pub(super) version: String,
    /// The directory of `postgres` and `initdb`.
    pub(super) folder: PathBuf,
}

impl Programs {
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Finds all usable major versions, newest first. The first folder that has a major version wins.
pub(super) fn find(extra: &[PathBuf], owner: &Owner) -> Vec<Programs> {
    let mut found = BTreeMap::new();
    for folder in folders(extra) {
        if let Some(programs) = detect(&folder, owner) {
            found.entry(programs.major).or_insert(programs);
        }
    }
    found.into_values().rev().collect()
}

fn folders(extra: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders = extra.to_vec();
    for (parent, prefix) in [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")] {
        let Ok(entries) = fs::read_dir(parent) else { continue };
        let names = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        folders.extend(names.map(|entry| entry.path().join("bin")));
    }
    if let Some(path) = std::env::var_os("PATH") {
        folders.extend(std::env::split_paths(&path));
    }
    folders.retain(|folder| complete(folder));
    if folders.is_empty() {
        folders.extend(pg_config().filter(|folder| complete(folder)));
    }
    let mut seen = std::collections::BTreeSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    folders
}

fn complete(folder: &Path) -> bool {
    ["postgres", "initdb"].iter().all(|name| folder.join(name).is_file())
}

fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").stderr(Stdio::null()).output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

fn detect(folder: &Path, owner: &Owner) -> Option<Programs> {
    let output = owner.command(&folder.join("postgres")).arg("-V").output().ok()?;
    let (major, version) = version(&String::from_utf8(output.stdout).ok()?)?;
    if major < OLDEST {
        tracing::warn!(version, folder = %folder.display(), "PostgreSQL version not supported");
        return None;
    }
    Some(Programs { major, version, folder: folder.to_owned() })
}

/// Parses the output of `postgres -V`, for example `postgres (PostgreSQL) 15.18 (Debian …)`.
fn version(text: &str) -> Option<(u32, String)> {
    let number = text.strip_prefix("postgres (PostgreSQL) ")?.split_whitespace().next()?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    Some((number[..digits].parse().ok()?, format!("PostgreSQL {number}")))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_of_releases_and_betas_are_parsed() {
        let seen = |text| version(text).unwrap_or_default();
        assert_eq!(seen("postgres (PostgreSQL) 15.18 (Debian 1)\n"), (15, "PostgreSQL 15.18".to_owned()));
        assert_eq!(seen("postgres (PostgreSQL) 18beta1\n"), (18, "PostgreSQL 18beta1".to_owned()));
        assert_eq!(version("something else"), None);
    }
}
