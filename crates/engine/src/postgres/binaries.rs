//! Finds the installed PostgreSQL major versions.

use super::owner::Owner;
use ootheca_model::{Error, Result};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The oldest major version that has the roles `pg_read_all_data` and `pg_write_all_data`.
const OLDEST: u32 = 14;
/// The oldest major version that archives WAL with a library.
const OLDEST_WITH_ARCHIVE_LIBRARY: u32 = 15;
/// Where the libraries of a server are, relative to the folder above that of its programs.
const LIBRARIES: [&str; 2] = ["lib", "lib/postgresql"];

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

    /// A client program beside those of the server. `Precondition` if it is not installed.
    pub(super) fn client_program(&self, name: &str) -> Result<PathBuf> {
        let program = self.program(name);
        if program.is_file() {
            return Ok(program);
        }
        Err(Error::precondition(format!(
            "{} is not installed; install the client programs of PostgreSQL {major}, for example: \
             apt-get install postgresql-client-{major}",
            program.display(),
            major = self.major
        )))
    }

    /// Whether the server can archive its WAL with the library `basic_archive`.
    pub(super) fn has_basic_archive(&self) -> bool {
        let Ok(program) = fs::canonicalize(self.program("postgres")) else { return false };
        let above = program.ancestors().nth(2).unwrap_or(&program);
        self.major >= OLDEST_WITH_ARCHIVE_LIBRARY
            && LIBRARIES.iter().any(|folder| above.join(folder).join("basic_archive.so").is_file())
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
    use super::{Programs, version};
    use std::fs;

    #[test]
    fn the_archive_library_is_found_beside_the_programs() {
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        for name in ["bin", "lib/postgresql"] {
            fs::create_dir_all(folder.join(name)).expect("created");
        }
        fs::write(folder.join("bin/postgres"), "").expect("written");
        let found = |major| {
            Programs { major, version: String::new(), folder: folder.join("bin") }.has_basic_archive()
        };
        assert!(!found(15), "not installed");
        fs::write(folder.join("lib/postgresql/basic_archive.so"), "").expect("written");
        assert!(found(15) && found(18));
        assert!(!found(14), "this version has no libraries for archiving");
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn a_client_program_that_is_missing_is_named() {
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir_all(&folder).expect("created");
        fs::write(folder.join("pg_dump"), "").expect("written");
        let programs = Programs { major: 15, version: String::new(), folder: folder.clone() };
        assert_eq!(programs.client_program("pg_dump").expect("found"), folder.join("pg_dump"));
        let error = programs.client_program("pg_restore").expect_err("missing");
        assert_eq!(error.kind(), ootheca_model::ErrorKind::Precondition);
        assert!(error.message().contains("pg_restore is not installed"), "{error}");
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn versions_of_releases_and_betas_are_parsed() {
        let seen = |text| version(text).unwrap_or_default();
        assert_eq!(seen("postgres (PostgreSQL) 15.18 (Debian 1)\n"), (15, "PostgreSQL 15.18".to_owned()));
        assert_eq!(seen("postgres (PostgreSQL) 18beta1\n"), (18, "PostgreSQL 18beta1".to_owned()));
        assert_eq!(version("something else"), None);
    }
}
