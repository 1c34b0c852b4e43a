//! `ootheca cluster`.

mod change;
mod create;
mod expiry;
mod names;
mod show;
mod source;
pub(crate) mod sql;
mod wait;

use super::{Context, allowlist, backup, database, maintenance, restore, user};
use crate::{failure::Result, output::Column, resolve::path};
use clap::Subcommand;
use serde_json::Value;

/// Verbs of `cluster`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Create a cluster
    #[command(subcommand)]
    Create(create::Verb),
    /// List clusters
    #[command(visible_alias = "ls")]
    List(show::ListArgs),
    /// Show the details of a cluster: plan, regions, limits, and usage
    #[command(visible_aliases = ["describe", "get"])]
    Info(ClusterArg),
    /// Change the settings of a cluster
    Update(change::UpdateArgs),
    /// Delete a cluster and all its data
    #[command(visible_alias = "rm")]
    Delete(change::DeleteArgs),
    /// Open a SQL shell, or run psql with other arguments
    Sql(sql::SqlArgs),
    /// List the nodes of a cluster
    Nodes(ClusterArg),
    /// List the available versions
    Versions,
    /// Print the connection string of a cluster
    ConnectionString(show::ConnectionStringArgs),
    /// Manage SQL users; the same as `ootheca user`
    #[command(subcommand)]
    User(user::Verb),
    /// Manage databases; the same as `ootheca database`
    #[command(subcommand)]
    Database(database::Verb),
    /// List backups and manage their configuration; the same as `ootheca backup`
    #[command(subcommand)]
    Backup(backup::ClusterVerb),
    /// Restore clusters from backups; the same as `ootheca restore`
    #[command(subcommand)]
    Restore(restore::Verb),
    /// Manage the maintenance window; the same as `ootheca maintenance window`
    #[command(subcommand)]
    Maintenance(maintenance::Window),
    /// Manage the version deferral; the same as `ootheca maintenance deferral`
    #[command(subcommand)]
    VersionDeferral(maintenance::Deferral),
    /// Manage the blackout windows; the same as `ootheca maintenance blackout`
    #[command(subcommand)]
    BlackoutWindow(maintenance::Blackout),
    /// Manage network access
    #[command(subcommand)]
    Networking(Networking),
}

/// Verbs of `cluster networking`.
#[derive(Subcommand)]
pub(crate) enum Networking {
    /// Manage the allowed networks; the same as `ootheca allowlist`
    #[command(subcommand)]
    Allowlist(allowlist::Verb),
}

/// The cluster that a command applies to.
#[derive(clap::Args)]
pub(crate) struct ClusterArg {
    /// Name or ID of the cluster
    #[arg(value_name = "CLUSTER")]
    pub(crate) cluster: String,
}

/// Runs the command.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    match verb {
        Verb::Create(verb) => create::create(context, verb),
        Verb::List(args) => show::list(context, &args),
        Verb::Info(args) => show::info(context, &args.cluster),
        Verb::Update(args) => change::update(context, &args),
        Verb::Delete(args) => change::delete(context, &args),
        Verb::Sql(args) => sql::sql(context, &args),
        Verb::Nodes(args) => show::nodes(context, &args.cluster),
        Verb::Versions => show::versions(context),
        Verb::ConnectionString(args) => show::connection_string(context, &args),
        Verb::User(verb) => user::run(context, verb),
        Verb::Database(verb) => database::run(context, verb),
        Verb::Backup(verb) => backup::of_cluster(context, verb),
        Verb::Restore(verb) => restore::run(context, verb),
        Verb::Maintenance(verb) => maintenance::window(context, verb),
        Verb::VersionDeferral(verb) => maintenance::deferral(context, verb),
        Verb::BlackoutWindow(verb) => maintenance::blackout(context, verb),
        Verb::Networking(Networking::Allowlist(verb)) => allowlist::run(context, verb),
    }
}

/// Columns for a cluster that was created or changed.
const SHORT: [Column; 8] = [
    Column::text("NAME", "/name"),
    Column::text("ID", "/id"),
    Column::text("PLAN", "/plan"),
    Column::by("STATE", state),
    Column::text("CLOUD", "/cloud_provider"),
    Column::by("REGIONS", regions),
    Column::text("VERSION", "/cockroach_version"),
    Column::time("EXPIRES", "/expires_at"),
];

/// The state of a cluster, with its running operation or whether it is suspended.
fn state(cluster: &Value) -> String {
    let word = |pointer: &str| cluster.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let suspended = cluster.pointer("/ootheca/suspended") == Some(&Value::Bool(true));
    match (word("/operation_status"), suspended) {
        ("" | "UNSPECIFIED" | "CLUSTER_STATUS_UNSPECIFIED", true) => {
            format!("{} (suspended)", word("/state"))
        }
        ("" | "UNSPECIFIED" | "CLUSTER_STATUS_UNSPECIFIED", false) => word("/state").to_owned(),
        (operation, _) => format!("{} ({operation})", word("/state")),
    }
}

/// The regions of a cluster, with the number of nodes if it has dedicated nodes.
fn regions(cluster: &Value) -> String {
    let region = |region: &Value| {
        let name = region["name"].as_str().unwrap_or_default();
        match region["node_count"].as_i64() {
            Some(nodes) if nodes > 0 => format!("{name}:{nodes}"),
            _ => name.to_owned(),
        }
    };
    let regions = cluster["regions"].as_array();
    regions.map(|all| all.iter().map(region).collect::<Vec<_>>().join(", ")).unwrap_or_default()
}
