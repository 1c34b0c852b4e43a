//! The verbs, by noun, and what each of them is given.

pub(crate) mod admin;
pub(crate) mod allowlist;
pub(crate) mod api_key;
pub(crate) mod audit;
pub(crate) mod audit_log;
pub(crate) mod cluster;
pub(crate) mod database;
pub(crate) mod debug;
pub(crate) mod events;
pub(crate) mod folder;
pub(crate) mod jwt_issuer;
pub(crate) mod labels;
pub(crate) mod login;
pub(crate) mod organization;
pub(crate) mod person;
pub(crate) mod region;
pub(crate) mod role;
pub(crate) mod service_account;
pub(crate) mod user;

use crate::{
    client::Client,
    connection::{ConnectionArgs, connect},
    failure::Result,
    output::{Out, OutputArgs},
};
use clap::{Args, Subcommand};

/// What every verb that speaks to a server is given.
pub(crate) struct Context {
    /// The server.
    pub(crate) client: Client,
    /// Where its answer is printed.
    pub(crate) out: Out,
    /// Whether nothing is asked.
    pub(crate) yes: bool,
}

/// Flags of every verb that speaks to a server.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct GlobalArgs {
    /// Which server, and which key.
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// How to print.
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Do what can't be undone without asking
    #[arg(long, short = 'y', global = true, help_heading = "Global options")]
    pub(crate) yes: bool,
}

impl GlobalArgs {
    /// What a verb is given; nothing is sent yet.
    pub(crate) fn context(&self) -> Result<Context> {
        Ok(Context { client: connect(&self.connection)?, out: self.out(), yes: self.yes })
    }

    /// Where answers go, for what needs no server.
    pub(crate) fn out(&self) -> Out {
        Out { format: self.output.format() }
    }
}

/// A noun whose verbs speak to a server: `ootheca cluster list`.
#[derive(Args)]
pub(crate) struct Noun<V: Subcommand> {
    /// Flags that stand before or behind the verb.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: V,
}

impl<V: Subcommand> Noun<V> {
    /// What its verbs are given.
    pub(crate) fn context(&self) -> Result<Context> {
        self.global.context()
    }
}
