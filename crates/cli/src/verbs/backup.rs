//! `ootheca backup`: the backups of clusters, their configuration, and the recovery key.

use super::{Context, GlobalArgs, Noun};
use crate::{
    client::segment,
    failure::{Failure, Result},
    output::{self, Column, Format},
    resolve, runtime, terminal,
};
use clap::{ArgAction, Args, Subcommand, value_parser};
use ootheca_model::{
    backup::{FREQUENCIES, RETENTIONS, choices},
    instance::Condition,
};
use ootheca_server::{
    Settings,
    gateway::control,
    identity::admin::{Command, Done},
};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Verbs of `backup`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    #[command(flatten)]
    OfCluster(ClusterVerb),
    /// Print the recovery key, which `ootheca recover` needs; on the server's machine, and only once
    Key(KeyArgs),
}

/// Verbs of `backup` and `cluster backup`.
#[derive(Subcommand)]
pub(crate) enum ClusterVerb {
    /// List the backups of a cluster, newest first
    #[command(visible_alias = "ls")]
    List {
        /// Name or ID of the cluster; ID of a deleted cluster
        cluster: String,
        #[command(flatten)]
        part: PartArgs,
    },
    /// Manage the backup configuration of a cluster
    #[command(subcommand)]
    Config(Config),
}

/// Flags of `backup key`.
#[derive(Args)]
pub(crate) struct KeyArgs {
    /// Settings file of the server; `ootheca settings` prints the default one
    #[arg(long, env = "OOTHECA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Store of the server, such as postgres://user@host/db [default: SQLite in the data directory]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
}

/// Verbs of `backup config`.
#[derive(Subcommand)]
pub(crate) enum Config {
    /// Show the backup configuration of a cluster
    #[command(visible_alias = "get")]
    Show {
        /// Name or ID of the cluster
        cluster: String,
    },
    /// Change the backup configuration of a STANDARD or ADVANCED cluster
    #[command(visible_alias = "update")]
    Set {
        /// Name or ID of the cluster
        cluster: String,
        #[command(flatten)]
        changes: Changes,
    },
}

/// Changes to a configuration. Settings without a flag don't change.
#[derive(Args, Default)]
pub(crate) struct Changes {
    /// Enable backups, or disable them with --enabled=false
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    enabled: Option<bool>,
    #[arg(long, value_name = "MINUTES", help = frequency_help())]
    frequency: Option<i32>,
    #[arg(long, value_name = "DAYS", help = retention_help())]
    retention: Option<i32>,
}

fn frequency_help() -> String {
    format!("Minutes between two backups: one of {}", choices(&FREQUENCIES))
}

fn retention_help() -> String {
    format!("Days for which each new backup is kept: one of {}; can be changed once", choices(&RETENTIONS))
}

/// The part of a list of backups or restores that is shown.
#[derive(Args)]
pub(crate) struct PartArgs {
    /// Start of the time range (inclusive), such as 2026-03-01T10:30:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// End of the time range (exclusive)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Maximum number of results
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = value_parser!(u32).range(1..))]
    limit: u32,
    /// List the oldest first
    #[arg(long)]
    ascending: bool,
}

const CONFIGURATION: [Column; 3] = [
    Column::text("ENABLED", "/enabled"),
    Column::text("FREQUENCY (MINUTES)", "/frequency_minutes"),
    Column::text("RETENTION (DAYS)", "/retention_days"),
];
const BACKUPS: [Column; 2] = [Column::text("ID", "/id"), Column::time("AS OF", "/as_of_time")];

/// Runs the command.
pub(crate) fn run(Noun { global, verb }: Noun<Verb>) -> Result<()> {
    match verb {
        Verb::OfCluster(verb) => of_cluster(&global.context()?, verb),
        Verb::Key(args) => key(&global, args),
    }
}

/// Runs a command that applies to a cluster.
pub(crate) fn of_cluster(context: &Context, verb: ClusterVerb) -> Result<()> {
    match verb {
        ClusterVerb::List { cluster, part } => {
            let cluster = resolve::cluster(&context.client, &cluster)?;
            part.list(context, &backups(&cluster), "backups", &BACKUPS)?;
            if let Some(reason) = disabled(&cluster) {
                terminal::message(reason);
            }
            Ok(())
        }
        ClusterVerb::Config(verb) => configure(context, verb),
    }
}

fn configure(context: &Context, verb: Config) -> Result<()> {
    let configuration = |cluster: &str| resolve::cluster_path(&context.client, cluster, "/backups-config");
    match verb {
        Config::Show { cluster } => {
            let response = context.client.get(&configuration(&cluster)?)?;
            context.out.record(&response, &CONFIGURATION)
        }
        Config::Set { cluster, changes } => {
            let body = changes.body();
            if body.is_empty() {
                return Err(Failure::usage("no changes specified")
                    .hint("see the flags with `ootheca backup config set --help`"));
            }
            let response = context.client.patch(&configuration(&cluster)?, &body.into())?;
            let what = format!("Updated the backup configuration of cluster {cluster}");
            context.out.done(&what, &response, &CONFIGURATION)
        }
    }
}

/// Why no new backups of a cluster are taken, if the operator has turned them off.
fn disabled(cluster: &Value) -> Option<&str> {
    let conditions = cluster.pointer("/ootheca/conditions")?.as_array()?;
    let is_disabled = |condition: &&Value| condition["kind"] == Condition::BACKUPS_DISABLED;
    conditions.iter().find(is_disabled)?["message"].as_str()
}

/// Asks the server on this machine, or reads its store if it is stopped.
fn key(global: &GlobalArgs, args: KeyArgs) -> Result<()> {
    // The listener of the API is not opened, so its address doesn't matter.
    let mut flags = json!({ "insecure_listen": true });
    if let Some(folder) = &global.connection.data_dir {
        flags["data_dir"] = json!(folder);
    }
    if let Some(store) = args.store {
        flags["store"] = store.into();
    }
    let settings = Settings::load(args.config.as_deref(), &flags)?;
    let asked = control::admin::execute(settings, Command::RecoveryKey);
    let Done::RecoveryKey { recovery_key, fingerprint } = runtime::current_thread()?.block_on(asked)? else {
        return Err(Failure::failed("the server sent an unexpected response"));
    };
    if matches!(global.output.format(), Format::Json) {
        return output::json(&json!({ "recovery_key": recovery_key, "fingerprint": fingerprint }));
    }
    terminal::notice(format!(
        "Recovery key with the fingerprint {fingerprint}. It won't be shown again; keep it secret, and away from this \
         machine and its backups:"
    ));
    output::print(&format!("{recovery_key}\n"))
}

/// The URL path of the backups of a cluster, which outlive it.
fn backups(cluster: &Value) -> String {
    match cluster["state"] == "DELETED" {
        true => format!("/api/ootheca/v1/backups?source_cluster_id={}", segment(resolve::id(cluster))),
        false => resolve::path(cluster, "/backups"),
    }
}

impl PartArgs {
    /// Prints this part of the list at `path`. `field` is the member that contains the items.
    pub(super) fn list(&self, context: &Context, path: &str, field: &str, columns: &[Column]) -> Result<()> {
        let list = context.client.list_first(path, &self.query(), field, Some(self.limit as usize))?;
        context.out.list(columns, &list)?;
        let next = list.response.pointer("/pagination/next_page").and_then(Value::as_str);
        if next.is_some_and(|next| !next.is_empty()) {
            terminal::message("There are more; use --limit, --since, or --until to list them.");
        }
        Ok(())
    }

    fn query(&self) -> Vec<(String, String)> {
        let order = if self.ascending { "ASC" } else { "DESC" };
        let pairs = [
            ("pagination.sort_order", Some(order)),
            ("start_time", self.since.as_deref()),
            ("end_time", self.until.as_deref()),
        ];
        pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect()
    }
}

impl Changes {
    /// The body of the request, with changes only.
    fn body(&self) -> Map<String, Value> {
        let members = [
            ("enabled", self.enabled.map(Value::from)),
            ("frequency_minutes", self.frequency.map(Value::from)),
            ("retention_days", self.retention.map(Value::from)),
        ];
        members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_contains_changes_only() {
        let body = |changes: Changes| Value::from(changes.body());
        assert_eq!(body(Changes::default()), json!({}));
        let disabled = Changes { enabled: Some(false), ..Changes::default() };
        assert_eq!(body(disabled), json!({ "enabled": false }));
        let all = Changes { enabled: Some(true), frequency: Some(5), retention: Some(7) };
        assert_eq!(body(all), json!({ "enabled": true, "frequency_minutes": 5, "retention_days": 7 }));
    }
}
