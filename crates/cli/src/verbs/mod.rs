//! The verbs, by noun, and what each of them is given.

pub(crate) mod admin;
pub(crate) mod audit;
pub(crate) mod cluster;
pub(crate) mod debug;
pub(crate) mod login;

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
        let client = connect(&self.connection)?;
        Ok(Context { client, out: Out { format: self.output.format() }, yes: self.yes })
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
