//! `ootheca database`.

use super::Context;
use crate::{client::segment, failure::Result, output::Column, resolve, terminal};
use clap::Subcommand;
use serde_json::json;

/// Verbs of `database`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List the databases of a cluster
    #[command(visible_alias = "ls")]
    List {
        /// Name or ID of the cluster
        cluster: String,
    },
    /// Create a database
    Create {
        /// Name or ID of the cluster
        cluster: String,
        /// Name of the database
        database: String,
    },
    /// Rename a database
    Rename {
        /// Name or ID of the cluster
        cluster: String,
        /// Name of the database
        database: String,
        /// New name
        new_name: String,
    },
    /// Delete a database and all its data
    #[command(visible_alias = "rm")]
    Delete {
        /// Name or ID of the cluster
        cluster: String,
        /// Name of the database
        database: String,
    },
}

const COLUMNS: [Column; 2] = [Column::text("NAME", "/name"), Column::text("TABLE COUNT", "/table_count")];

/// Runs the command.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    let databases = |cluster: &str| resolve::cluster_path(&context.client, cluster, "/databases");
    match verb {
        Verb::List { cluster } => {
            context.out.list(&COLUMNS, &context.client.list(&databases(&cluster)?, "databases")?)
        }
        Verb::Create { cluster, database } => {
            let response = context.client.post(&databases(&cluster)?, &json!({ "name": database }))?;
            context.out.done(&format!("Created database {database}"), &response, &COLUMNS[..1])
        }
        Verb::Rename { cluster, database, new_name } => {
            let path = format!("{}/{}", databases(&cluster)?, segment(&database));
            let response = context.client.patch(&path, &json!({ "new_name": new_name }))?;
            context.out.done(&format!("Renamed database {database} to {new_name}"), &response, &COLUMNS[..1])
        }
        Verb::Delete { cluster, database } => {
            let path = format!("{}/{}", databases(&cluster)?, segment(&database));
            terminal::confirm(
                context.yes,
                &format!("Delete database {database} of cluster {cluster} and all its data?"),
            )?;
            let response = context.client.delete(&path)?;
            context.out.done(&format!("Deleted database {database}"), &response, &COLUMNS[..1])
        }
    }
}
