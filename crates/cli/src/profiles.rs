//! The servers and keys that `ootheca login` stored: one private file in the platform's folder for
//! settings.

use crate::failure::{Failure, Result};
use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::PathBuf,
};

/// How the profile is called that nobody named.
pub(crate) const DEFAULT: &str = "default";

/// A server and a key for it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// `https://…` or `http://…`.
    pub(crate) server: String,
    /// The secret.
    pub(crate) api_key: String,
}

/// All profiles.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profiles {
    /// The one that is used where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By their names.
    #[serde(default)]
    pub(crate) profiles: BTreeMap<String, Profile>,
}

impl Profiles {
    /// Reads them; without a file there are none.
    pub(crate) fn load() -> Result<Self> {
        // Without a home folder nothing was ever stored.
        let Some(path) = path() else { return Ok(Self::default()) };
        let shown = path.display();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::failed(format!("{shown} can't be read: {error}"))),
        };
        let mode = fs::metadata(&path).map(|data| data.permissions().mode()).unwrap_or_default();
        if mode & 0o077 != 0 {
            let message = format!("{shown} holds keys, and others may read it");
            return Err(Failure::failed(message).hint(format!("chmod 600 {shown}")));
        }
        // What the parser says may quote the line, which may hold a key.
        toml::from_str(&text).map_err(|error| {
            let line =
                error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
            Failure::failed(format!("{shown}: line {line} can't be understood"))
                .hint("`ootheca login` writes it anew once it is gone")
        })
    }

    /// Writes them, whole or not at all, for their owner's eyes only.
    pub(crate) fn save(&self) -> Result<()> {
        let path = path().ok_or_else(|| Failure::failed("there is no home folder to store a profile in"))?;
        let failed =
            |error: std::io::Error| Failure::failed(format!("{} can't be written: {error}", path.display()));
        let text = toml::to_string(self).map_err(|error| Failure::failed(error.to_string()))?;
        let folder = path.parent().unwrap_or(&path);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        // Temporary files are made for their owner only.
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// The profile that is used where none is named.
    pub(crate) fn current(&self) -> Option<(&str, &Profile)> {
        let name = self.current.as_deref()?;
        Some((name, self.profiles.get(name)?))
    }
}

/// Where they are.
pub(crate) fn path() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.config_dir().join("ootheca/profiles.toml"))
}
