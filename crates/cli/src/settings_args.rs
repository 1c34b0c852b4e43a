//! Flags that say where a server keeps its settings and its data. Commands that work on the data of a
//! server without calling its API share them.

use crate::failure::Result;
use clap::Args;
use ootheca_server::Settings;
use serde::Serialize;
use std::path::PathBuf;

/// Flags that locate the settings and the data directory of a server.
#[derive(Args, Serialize)]
pub(crate) struct SettingsArgs {
    /// Data directory of the server [default: the platform's data directory]
    #[arg(long, env = "OOTHECA_DATA_DIR", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    /// Settings file of the server; `ootheca settings` prints the default one
    #[arg(long, env = "OOTHECA_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
}

/// The same, for commands that open the store.
#[derive(Args, Serialize)]
pub(crate) struct StoreArgs {
    #[command(flatten)]
    #[serde(flatten)]
    settings: SettingsArgs,
    /// Store of the server, such as postgres://user@host/db [default: SQLite in the data directory]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
}

impl SettingsArgs {
    /// Loads the settings. `flags` are those of the command, this struct among them.
    pub(crate) fn load(&self, flags: &impl Serialize) -> Result<Settings> {
        Ok(Settings::load(self.config.as_deref(), flags)?)
    }

    /// Loads the settings for a command that doesn't open the listener of the API, so that its address
    /// doesn't matter.
    pub(crate) fn load_offline(&self, flags: &impl Serialize) -> Result<Settings> {
        self.load(&Offline { flags, insecure_listen: true })
    }
}

impl StoreArgs {
    /// Loads the settings for a command that opens the store.
    pub(crate) fn load_offline(&self) -> Result<Settings> {
        self.settings.load_offline(self)
    }
}

#[derive(Serialize)]
struct Offline<'a, F> {
    #[serde(flatten)]
    flags: &'a F,
    insecure_listen: bool,
}
