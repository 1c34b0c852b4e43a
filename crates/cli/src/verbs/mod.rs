//! The commands, one file for each noun.

pub(crate) mod admin;
pub(crate) mod allowlist;
pub(crate) mod api_key;
pub(crate) mod audit;
pub(crate) mod audit_log;
pub(crate) mod backup;
pub(crate) mod cluster;
pub(crate) mod database;
pub(crate) mod debug;
pub(crate) mod events;
pub(crate) mod folder;
pub(crate) mod jwt_issuer;
pub(crate) mod key_value;
pub(crate) mod login;
pub(crate) mod maintenance;
pub(crate) mod organization;
pub(crate) mod person;
pub(crate) mod recover;
pub(crate) mod region;
pub(crate) mod restore;
pub(crate) mod role;
pub(crate) mod service_account;
pub(crate) mod time;
pub(crate) mod user;
pub(crate) mod wait;

use crate::{
    client::Client,
    connection::{ConnectionArgs, connect},
    failure::Result,
    output::{Out, OutputArgs},
};
use clap::{Args, Subcommand};

/// What a command that calls the API needs.
pub(crate) struct Context {
    /// Client for the server.
    pub(crate) client: Client,
    /// Output.
    pub(crate) out: Out,
    /// Whether to skip confirmation.
    pub(crate) yes: bool,
}

/// Flags of commands that call the API.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct GlobalArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Don't ask for confirmation
    #[arg(long, short = 'y', global = true, help_heading = "Global options")]
    pub(crate) yes: bool,
}

impl GlobalArgs {
    /// Chooses the server and the API key. Sends nothing.
    pub(crate) fn context(&self) -> Result<Context> {
        Ok(Context { client: connect(&self.connection)?, out: self.out(), yes: self.yes })
    }

    /// The output, for commands that need no server.
    pub(crate) fn out(&self) -> Out {
        Out { format: self.output.format() }
    }
}

/// A noun with verbs, such as `ootheca cluster list`.
#[derive(Args)]
pub(crate) struct Noun<V: Subcommand> {
    /// Flags that can come before or after the verb.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// The verb.
    #[command(subcommand)]
    pub(crate) verb: V,
}

impl<V: Subcommand> Noun<V> {
    /// Chooses the server and the API key.
    pub(crate) fn context(&self) -> Result<Context> {
        self.global.context()
    }
}
