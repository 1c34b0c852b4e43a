//! `ootheca organization`.

use super::Context;
use crate::{failure::Result, output::Column};
use clap::Subcommand;

/// Verbs of `organization`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Show the organization of the API key
    Get,
}

const COLUMNS: [Column; 4] = [
    Column::text("NAME", "/name"),
    Column::text("LABEL", "/label"),
    Column::text("ID", "/id"),
    Column::time("CREATED AT", "/created_at"),
];

/// Runs the command.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    let Verb::Get = verb;
    context.out.record(&context.client.get("/api/v1/organization")?, &COLUMNS)
}
