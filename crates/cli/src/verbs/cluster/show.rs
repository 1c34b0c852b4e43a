//! Commands that show clusters.

use super::{Context, path, regions, state};
use crate::{
    failure::Result,
    output::{self, Column, Format, plain},
    resolve,
};
use clap::{Args, ValueEnum};
use serde_json::Value;

/// Flags of `cluster list`.
#[derive(Args)]
pub(crate) struct ListArgs {
    /// List only clusters in this folder, by name or ID, or `root`
    #[arg(long, value_name = "FOLDER")]
    folder: Option<String>,
    /// Include clusters that were deleted or couldn't be created
    #[arg(long)]
    all: bool,
}

const LIST: [Column; 9] = [
    Column::text("NAME", "/name"),
    Column::text("ID", "/id"),
    Column::text("PLAN", "/plan"),
    Column::time("CREATED AT", "/created_at"),
    Column::by("STATE", state),
    Column::text("CLOUD", "/cloud_provider"),
    Column::by("REGIONS", regions),
    Column::text("VERSION", "/cockroach_version"),
    Column::time("EXPIRES", "/expires_at"),
];

/// Lists clusters.
pub(super) fn list(context: &Context, args: &ListArgs) -> Result<()> {
    let folder =
        args.folder.as_deref().map(|wanted| resolve::folder_id(&context.client, wanted)).transpose()?;
    let query = if args.all { "?show_inactive=true" } else { "" };
    let mut list = context.client.list(&format!("/api/v1/clusters{query}"), "clusters")?;
    if let Some(folder) = folder {
        list.rows.retain(|cluster| cluster["parent_id"] == folder.as_str());
        list.response["clusters"] = list.rows.clone().into();
    }
    context.out.list(&LIST, &list)
}

const INFO: [Column; 23] = [
    Column::text("NAME", "/name"),
    Column::text("ID", "/id"),
    Column::text("PLAN", "/plan"),
    Column::by("STATE", state),
    Column::text("LIMIT STATUS", "/ootheca/limit_status"),
    Column::text("CLOUD", "/cloud_provider"),
    Column::by("REGIONS", regions),
    Column::text("VERSION", "/cockroach_version"),
    Column::text("UPGRADES", "/config/serverless/upgrade_type"),
    Column::text("ENGINE", "/ootheca/engine"),
    Column::by("MACHINE", machine),
    Column::by("REQUEST UNITS", request_units),
    Column::by("STORAGE", storage),
    Column::by("VCPUS", virtual_cpus),
    Column::text("CONNECTIONS", "/ootheca/usage/connections"),
    Column::text("SQL HOST", "/sql_dns"),
    Column::text("FOLDER", "/parent_id"),
    Column::text("LABELS", "/labels"),
    Column::text("DELETE PROTECTION", "/delete_protection"),
    Column::text("CREATOR", "/creator_id"),
    Column::time("CREATED AT", "/created_at"),
    Column::time("EXPIRES", "/expires_at"),
    Column::by("CONDITIONS", conditions),
];

/// Shows a cluster.
pub(super) fn info(context: &Context, cluster: &str) -> Result<()> {
    let cluster = resolve::cluster(&context.client, cluster)?;
    // The list contains fewer fields than the cluster itself.
    let cluster = context.client.get(&path(&cluster, ""))?;
    context.out.record(&cluster, &INFO)
}

fn limit<'a>(cluster: &'a Value, name: &str) -> Option<&'a Value> {
    cluster.pointer("/config/serverless/usage_limits")?.get(name)
}

fn usage(cluster: &Value, pointer: &str) -> f64 {
    let usage = cluster.pointer("/ootheca/usage");
    usage.and_then(|usage| usage.pointer(pointer)).and_then(Value::as_f64).unwrap_or_default()
}

fn request_units(cluster: &Value) -> String {
    let month = cluster.pointer("/ootheca/usage/month").map(plain).unwrap_or_default();
    let used = format!("{:.0} used in {month}", usage(cluster, "/request_units/total"));
    limit(cluster, "request_unit_limit").map_or(used.clone(), |limit| format!("{used} of {}", plain(limit)))
}

fn storage(cluster: &Value) -> String {
    let used = format!("{:.1} MiB used", usage(cluster, "/storage_mib"));
    match (limit(cluster, "storage_mib_limit"), cluster.pointer("/config/dedicated/storage_gib")) {
        (Some(limit), _) => format!("{used} of {} MiB", plain(limit)),
        (None, Some(gib)) => format!("{used} of {} GiB", plain(gib)),
        (None, None) => used,
    }
}

fn virtual_cpus(cluster: &Value) -> String {
    let used = format!("{:.2} in use", usage(cluster, "/virtual_cpus"));
    let dedicated = cluster.pointer("/config/dedicated/num_virtual_cpus");
    let all = limit(cluster, "provisioned_virtual_cpus").or(dedicated);
    all.map_or(used.clone(), |all| format!("{used} of {}", plain(all)))
}

fn machine(cluster: &Value) -> String {
    cluster.pointer("/config/dedicated/machine_type").map(plain).unwrap_or_default()
}

fn conditions(cluster: &Value) -> String {
    let all = cluster.pointer("/ootheca/conditions").and_then(Value::as_array);
    let hold = all.into_iter().flatten().filter(|condition| condition["holds"] == true);
    hold.map(|condition| plain(&condition["message"])).collect::<Vec<_>>().join("; ")
}

const NODES: [Column; 6] = [
    Column::text("NAME", "/name"),
    Column::text("REGION", "/region_name"),
    Column::text("ZONE", "/ootheca/zone"),
    Column::text("STATUS", "/status"),
    Column::text("ROLE", "/ootheca/role"),
    Column::text("LAG BYTES", "/ootheca/lag_bytes"),
];

/// Lists the nodes of a cluster.
pub(super) fn nodes(context: &Context, cluster: &str) -> Result<()> {
    let cluster = resolve::cluster(&context.client, cluster)?;
    context.out.list(&NODES, &context.client.list(&path(&cluster, "/nodes"), "nodes")?)
}

const VERSIONS: [Column; 5] = [
    Column::text("VERSION", "/version"),
    Column::text("RELEASE TYPE", "/release_type"),
    Column::text("SUPPORT STATUS", "/support_status"),
    Column::time("SUPPORT END", "/support_end"),
    Column::text("ALLOWED UPGRADES", "/allowed_upgrades"),
];

/// Lists the available versions.
pub(super) fn versions(context: &Context) -> Result<()> {
    context.out.list(&VERSIONS, &context.client.list("/api/v1/cluster-versions", "versions")?)
}

/// Operating system of a SQL client.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum System {
    /// Linux
    Linux,
    /// macOS
    Mac,
    /// Windows
    Windows,
}

/// Flags of `cluster connection-string`.
#[derive(Args)]
pub(crate) struct ConnectionStringArgs {
    #[command(flatten)]
    cluster: super::ClusterArg,
    /// SQL user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Database [default: defaultdb]
    #[arg(long, value_name = "DATABASE")]
    database: Option<String>,
    /// Operating system of the client [default: this system]
    #[arg(long, value_enum, value_name = "SYSTEM")]
    os: Option<System>,
}

/// Prints the connection string.
pub(super) fn connection_string(context: &Context, args: &ConnectionStringArgs) -> Result<()> {
    let cluster = resolve::cluster(&context.client, &args.cluster.cluster)?;
    let here = if cfg!(target_os = "macos") { System::Mac } else { System::Linux };
    let system = match args.os.unwrap_or(here) {
        System::Linux => "LINUX",
        System::Mac => "MAC",
        System::Windows => "WINDOWS",
    };
    let mut query = vec![("os".to_owned(), system.to_owned())];
    query.extend(args.user.iter().map(|user| ("sql_user".to_owned(), user.clone())));
    query.extend(args.database.iter().map(|name| ("database".to_owned(), name.clone())));
    let path = path(&cluster, "/connection-string");
    let response = context.client.send("GET", &path, &query, None, &[])?.value;
    match context.out.format {
        Format::Json => output::json(&response),
        _ => output::print(&(plain(&response["connection_string"]) + "\n")),
    }
}
