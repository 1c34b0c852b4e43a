//! `ootheca cluster`.

use super::Context;
use crate::{failure::Result, output::Column};
use clap::Subcommand;

/// What to do with clusters.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List the clusters that you may see
    #[command(visible_alias = "ls")]
    List,
}

/// Does it.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    const COLUMNS: [Column; 2] = [Column::text("NAME", "/name"), Column::text("ID", "/id")];
    match verb {
        Verb::List => context.out.list(&COLUMNS, &context.client.list("/api/v1/clusters", "clusters")?),
    }
}
