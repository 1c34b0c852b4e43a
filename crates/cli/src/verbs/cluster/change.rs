//! Clusters changed and deleted.

use super::{ClusterArg, Context, SHORT, create, path, wait};
use crate::{
    failure::{Failure, Result},
    resolve, talk,
};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

/// Flags of `cluster delete`.
#[derive(Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    cluster: ClusterArg,
}

/// Deletes a cluster, after a question.
pub(super) fn delete(context: &Context, args: &DeleteArgs) -> Result<()> {
    let cluster = resolve::cluster(&context.client, &args.cluster.cluster)?;
    let name = resolve::name(&cluster);
    if cluster["delete_protection"] == "ENABLED" {
        let message = format!("cluster {name} is protected from being deleted");
        return Err(Failure::failed(message)
            .hint(format!("`ootheca cluster update {name} --delete-protection off` lifts that")));
    }
    talk::confirm(context.yes, &format!("delete cluster {name} with all its data?"))?;
    let progress = talk::progress(&format!("deleting cluster {name}…"));
    let deleted = context.client.delete(&path(&cluster, ""))?;
    drop(progress);
    context.out.done(&format!("Deleted cluster {name}"), &deleted, &SHORT)
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// On
    On,
    /// Off
    Off,
}

/// Who begins upgrades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Upgrades {
    /// The server
    Automatic,
    /// You
    Manual,
}

/// The plan that a cluster changes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NewPlan {
    /// BASIC
    Basic,
    /// STANDARD
    Standard,
}

/// Flags of `cluster update`. What is not given stays as it is.
#[derive(Args, Default)]
pub(crate) struct UpdateArgs {
    /// Name or id
    #[arg(value_name = "CLUSTER")]
    cluster: String,
    /// Change the plan
    #[arg(long, value_enum, value_name = "PLAN")]
    plan: Option<NewPlan>,
    /// BASIC: request units that it may use in a month, or `none`
    #[arg(long, value_name = "NUMBER", value_parser = limit)]
    request_unit_limit: Option<Limit>,
    /// BASIC: mebibytes that it may store, or `none`
    #[arg(long, value_name = "MIB", value_parser = limit)]
    storage_mib_limit: Option<Limit>,
    /// STANDARD and ADVANCED: vCPUs, of each node
    #[arg(long, value_name = "NUMBER")]
    vcpus: Option<i64>,
    /// ADVANCED: storage of each node in GiB
    #[arg(long, value_name = "GIB")]
    storage_gib: Option<i64>,
    /// All its regions, ADVANCED with nodes: REGION:NODES; may be given several times
    #[arg(long = "region", value_name = "REGION", value_parser = create::region_nodes)]
    regions: Vec<(String, i64)>,
    /// The primary one of several regions
    #[arg(long, value_name = "REGION")]
    primary_region: Option<String>,
    /// Set a label; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = create::label)]
    labels: Vec<(String, String)>,
    /// Remove a label; may be given several times
    #[arg(long = "remove-label", value_name = "KEY")]
    remove_labels: Vec<String>,
    /// Move it to a folder, by name or id, or to `root`
    #[arg(long, value_name = "FOLDER")]
    folder: Option<String>,
    /// Whether it is protected from being deleted
    #[arg(long, value_enum, value_name = "SWITCH")]
    delete_protection: Option<Switch>,
    /// Upgrade it to a major version, such as v25.4
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Keep the upgrade that was made
    #[arg(long, conflicts_with_all = ["rollback", "version"])]
    finalize: bool,
    /// Undo the upgrade that was made
    #[arg(long, conflicts_with = "version")]
    rollback: bool,
    /// STANDARD: who begins upgrades
    #[arg(long, value_enum, value_name = "WHO")]
    upgrades: Option<Upgrades>,
    #[command(flatten)]
    wait: wait::WaitArgs,
}

/// A limit, or none.
type Limit = Option<i64>;

fn limit(text: &str) -> std::result::Result<Limit, String> {
    match text {
        "none" => Ok(None),
        text => text.parse().map(Some).map_err(|_| "must be a number or `none`".to_owned()),
    }
}

/// Changes a cluster.
pub(super) fn update(context: &Context, args: &UpdateArgs) -> Result<()> {
    let cluster = resolve::cluster(&context.client, &args.cluster)?;
    let folder = match args.folder.as_deref() {
        None => None,
        Some("root") => Some("root".to_owned()),
        Some(wanted) => Some(resolve::id(&resolve::folder(&context.client, wanted)?).to_owned()),
    };
    let body = body(args, &cluster, folder);
    if body.is_empty() {
        return Err(Failure::usage("nothing to change was given")
            .hint("`ootheca cluster update --help` shows the flags"));
    }
    let name = resolve::name(&cluster);
    let what = format!("updating cluster {name}…");
    let ask = || context.client.patch(&path(&cluster, ""), &body.into());
    let updated = wait::done(context, args.wait, &what, ask)?;
    context.out.done(&format!("Updated cluster {name}"), &updated, &SHORT)?;
    if updated["upgrade_status"] == "PENDING_FINALIZATION" {
        talk::say(format!(
            "\nNext: try it, then `ootheca cluster update {name} --finalize`, or --rollback to undo it"
        ));
    }
    Ok(())
}

/// The body: only what changes. Labels and limits are replaced as a whole, so what stays is said again.
fn body(args: &UpdateArgs, cluster: &Value, folder: Option<String>) -> Map<String, Value> {
    let mut body = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        body.extend(value.map(|value| (name.to_owned(), value)));
    };
    let plan = args.plan.map(|plan| match plan {
        NewPlan::Basic => "BASIC",
        NewPlan::Standard => "STANDARD",
    });
    set("plan", plan.map(Value::from));
    set("parent_id", folder.map(Value::from));
    let protection = args.delete_protection.map(|switch| match switch {
        Switch::On => "ENABLED",
        Switch::Off => "DISABLED",
    });
    set("delete_protection", protection.map(Value::from));
    set("cockroach_version", args.version.clone().map(Value::from));
    let status = match (args.finalize, args.rollback) {
        (true, _) => Some("FINALIZED"),
        (_, true) => Some("ROLLBACK_RUNNING"),
        _ => None,
    };
    set("upgrade_status", status.map(Value::from));
    if !args.labels.is_empty() || !args.remove_labels.is_empty() {
        let mut labels = cluster["labels"].as_object().cloned().unwrap_or_default();
        labels.retain(|key, _| !args.remove_labels.contains(key));
        labels.extend(args.labels.iter().map(|(key, value)| (key.clone(), value.clone().into())));
        set("labels", Some(labels.into()));
    }
    let advanced = cluster["plan"] == "ADVANCED";
    let (name, block) =
        if advanced { ("dedicated", dedicated(args)) } else { ("serverless", serverless(args, cluster)) };
    set(name, (!block.is_empty()).then(|| block.into()));
    body
}

fn serverless(args: &UpdateArgs, cluster: &Value) -> Map<String, Value> {
    let mut block = Map::new();
    if !args.regions.is_empty() {
        block.insert("regions".to_owned(), args.regions.iter().map(|(name, _)| name.clone()).collect());
    }
    if let Some(region) = &args.primary_region {
        block.insert("primary_region".to_owned(), region.clone().into());
    }
    if let Some(upgrades) = args.upgrades {
        let word = if upgrades == Upgrades::Manual { "MANUAL" } else { "AUTOMATIC" };
        block.insert("upgrade_type".to_owned(), word.into());
    }
    let changes = [
        ("request_unit_limit", args.request_unit_limit),
        ("storage_mib_limit", args.storage_mib_limit),
        ("provisioned_virtual_cpus", args.vcpus.map(Some)),
    ];
    if changes.iter().any(|(_, change)| change.is_some()) {
        // Limits belong to a plan: with a new one the old limits go.
        let before = cluster.pointer("/config/serverless/usage_limits").and_then(Value::as_object);
        let kept = before.filter(|_| args.plan.is_none()).cloned();
        let mut limits = kept.unwrap_or_default();
        for (name, change) in changes {
            match change {
                None => {}
                Some(None) => drop(limits.remove(name)),
                Some(Some(limit)) => drop(limits.insert(name.to_owned(), limit.to_string().into())),
            }
        }
        block.insert("usage_limits".to_owned(), limits.into());
    }
    block
}

fn dedicated(args: &UpdateArgs) -> Map<String, Value> {
    let (mut block, mut hardware) = (Map::new(), Map::new());
    if !args.regions.is_empty() {
        let nodes: Map<String, Value> =
            args.regions.iter().map(|(name, nodes)| (name.clone(), (*nodes).into())).collect();
        block.insert("region_nodes".to_owned(), nodes.into());
    }
    if let Some(vcpus) = args.vcpus {
        hardware.insert("machine_spec".to_owned(), json!({ "num_virtual_cpus": vcpus }));
    }
    if let Some(storage) = args.storage_gib {
        hardware.insert("storage_gib".to_owned(), storage.into());
    }
    if !hardware.is_empty() {
        block.insert("hardware".to_owned(), hardware.into());
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(args: UpdateArgs, cluster: &Value) -> Value {
        body(&args, cluster, None).into()
    }

    #[test]
    fn what_is_replaced_as_a_whole_is_said_again() {
        let limits = json!({ "request_unit_limit": "5", "storage_mib_limit": "7" });
        let cluster = json!({
            "plan": "BASIC", "labels": { "a": "1", "b": "2" }, "config": { "serverless": { "usage_limits": limits } },
        });
        let args = UpdateArgs {
            request_unit_limit: Some(Some(9)),
            labels: vec![("c".to_owned(), "3".to_owned())],
            remove_labels: vec!["a".to_owned()],
            ..UpdateArgs::default()
        };
        let expected = json!({
            "labels": { "b": "2", "c": "3" },
            "serverless": { "usage_limits": { "request_unit_limit": "9", "storage_mib_limit": "7" } },
        });
        assert_eq!(made(args, &cluster), expected);
        let args = UpdateArgs { storage_mib_limit: Some(None), ..UpdateArgs::default() };
        let expected = json!({ "serverless": { "usage_limits": { "request_unit_limit": "5" } } });
        assert_eq!(made(args, &cluster), expected);
    }

    #[test]
    fn an_advanced_cluster_has_nodes() {
        let args =
            UpdateArgs { regions: vec![("us-east1".to_owned(), 3)], vcpus: Some(8), ..UpdateArgs::default() };
        let expected = json!({ "dedicated": {
            "region_nodes": { "us-east1": 3 }, "hardware": { "machine_spec": { "num_virtual_cpus": 8 } },
        } });
        assert_eq!(made(args, &json!({ "plan": "ADVANCED" })), expected);
    }

    #[test]
    fn nothing_given_is_nothing_changed() {
        assert_eq!(made(UpdateArgs::default(), &json!({ "plan": "BASIC" })), json!({}));
    }
}
