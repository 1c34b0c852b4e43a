//! `ootheca cluster`: clusters are made, shown, changed, deleted, and opened.

mod change;
mod create;
mod names;
mod show;
pub(crate) mod sql;
mod wait;

use super::{Context, allowlist, database, user};
use crate::{failure::Result, output::Column};
use clap::Subcommand;
use serde_json::Value;

/// What to do with clusters.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Make a cluster
    #[command(subcommand)]
    Create(create::Plan),
    /// List the clusters that you may see
    #[command(visible_alias = "ls")]
    List(show::ListArgs),
    /// Show a cluster: its plan, regions, limits and use
    #[command(visible_aliases = ["describe", "get"])]
    Info(ClusterArg),
    /// Change a cluster
    Update(change::UpdateArgs),
    /// Delete a cluster with all its data
    #[command(visible_alias = "rm")]
    Delete(change::DeleteArgs),
    /// Open a SQL shell on a cluster, or run psql with other arguments
    Sql(sql::SqlArgs),
    /// List the nodes of a cluster
    Nodes(ClusterArg),
    /// List the versions that clusters may have
    Versions,
    /// Print how to connect to a cluster
    ConnectionString(show::ConnectionStringArgs),
    /// Its SQL users: the same as `ootheca user`
    #[command(subcommand)]
    User(user::Verb),
    /// Its databases: the same as `ootheca database`
    #[command(subcommand)]
    Database(database::Verb),
    /// Who may connect to it
    #[command(subcommand)]
    Networking(Networking),
}

/// Who may connect to a cluster.
#[derive(Subcommand)]
pub(crate) enum Networking {
    /// Networks that may connect: the same as `ootheca allowlist`
    #[command(subcommand)]
    Allowlist(allowlist::Verb),
}

/// A cluster.
#[derive(clap::Args)]
pub(crate) struct ClusterArg {
    /// Name or id
    #[arg(value_name = "CLUSTER")]
    pub(crate) cluster: String,
}

/// Does it.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    match verb {
        Verb::Create(plan) => create::create(context, plan),
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
        Verb::Networking(Networking::Allowlist(verb)) => allowlist::run(context, verb),
    }
}

/// What is shown of a cluster that was just made or changed.
const SHORT: [Column; 7] = [
    Column::text("NAME", "/name"),
    Column::text("ID", "/id"),
    Column::text("PLAN", "/plan"),
    Column::by("STATE", state),
    Column::text("CLOUD", "/cloud_provider"),
    Column::by("REGIONS", regions),
    Column::text("VERSION", "/cockroach_version"),
];

/// The path of a cluster, or of something below it.
fn path(cluster: &Value, below: &str) -> String {
    format!("/api/v1/clusters/{}{below}", crate::client::segment(crate::resolve::id(cluster)))
}

/// Where it stands, and whether it sleeps.
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

/// Its regions; with nodes where it has such.
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
