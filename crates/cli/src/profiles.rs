//! The profiles that `ootheca login` stores, in a private file in the platform's configuration directory.

use crate::{
    failure::{Failure, Result},
    files,
};
use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, io::ErrorKind, os::unix::fs::PermissionsExt, path::PathBuf};

/// The name of a profile that was stored without one.
pub(crate) const DEFAULT: &str = "default";

/// A server and an API key for it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// Address, `https://…` or `http://…`.
    pub(crate) server: String,
    /// Secret of the API key.
    pub(crate) api_key: String,
    /// PEM file with the certificate authority of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// The contents of the file.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profiles {
    /// Name of the profile that commands use by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// The profiles by name.
    #[serde(default)]
    pub(crate) profiles: BTreeMap<String, Profile>,
}

impl Profiles {
    /// Reads the file. If it doesn't exist, there are no profiles.
    pub(crate) fn load() -> Result<Self> {
        // Without a home directory, nothing can have been stored.
        let Some(path) = path() else { return Ok(Self::default()) };
        let shown = path.display();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::failed(format!("could not read {shown}: {error}"))),
        };
        let mode = fs::metadata(&path).map(|data| data.permissions().mode()).unwrap_or_default();
        if mode & 0o077 != 0 {
            let message = format!("{shown} contains API keys, but other users can read it");
            return Err(Failure::failed(message).hint(format!("run: chmod 600 {shown}")));
        }
        // The parser's message can quote the line, which can contain a key.
        toml::from_str(&text).map_err(|error| {
            let line =
                error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
            Failure::failed(format!("{shown}: syntax error in line {line}"))
                .hint("correct the file, or delete it and run `ootheca login` again")
        })
    }

    /// Replaces the file atomically. Only its owner can read it.
    pub(crate) fn save(&self) -> Result<()> {
        let path = path().ok_or_else(|| {
            Failure::failed("could not determine the home directory to store the profile in")
        })?;
        let text = toml::to_string(self)
            .map_err(|error| Failure::failed(format!("could not encode the profiles: {error}")))?;
        files::replace(&path, &text)
            .map_err(|error| Failure::failed(format!("could not write {}: {error}", path.display())))
    }

    /// The profile that commands use by default.
    pub(crate) fn current(&self) -> Option<(&str, &Profile)> {
        let name = self.current.as_deref()?;
        Some((name, self.profiles.get(name)?))
    }
}

/// The path of the file.
pub(crate) fn path() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.config_dir().join("ootheca/profiles.toml"))
}
