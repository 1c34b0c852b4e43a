//! `ootheca cluster update` and `ootheca cluster delete`.

use super::{ClusterArg, Context, SHORT, create, path, wait};
use crate::verbs::key_value;
use crate::{
    failure::{Failure, Result},
    resolve, terminal,
};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

/// Flags of `cluster delete`.
#[derive(Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    cluster: ClusterArg,
}

/// Deletes a cluster, after confirmation.
pub(super) fn delete(context: &Context, args: &DeleteArgs) -> Result<()> {
    let cluster = resolve::cluster(&context.client, &args.cluster.cluster)?;
    let name = resolve::name(&cluster);
    if cluster["delete_protection"] == "ENABLED" {
        let message = format!("cluster {name} has delete protection");
        return Err(Failure::failed(message)
            .hint(format!("turn it off with `ootheca cluster update {name} --delete-protection off`")));
    }
    terminal::confirm(context.yes, &format!("Delete cluster {name} and all its data?"))?;
    let progress = terminal::progress(&format!("deleting cluster {name}…"));
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

/// How upgrades start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Upgrades {
    /// The server starts upgrades
    Automatic,
    /// You start upgrades
    Manual,
}

/// The new plan of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NewPlan {
    /// BASIC
    Basic,
    /// STANDARD
    Standard,
}

/// Flags of `cluster update`. Settings without a flag don't change.
#[derive(Args, Default)]
pub(crate) struct UpdateArgs {
    /// Name or ID of the cluster
    #[arg(value_name = "CLUSTER")]
    cluster: String,
    /// New plan
    #[arg(long, value_enum, value_name = "PLAN")]
    plan: Option<NewPlan>,
    /// BASIC: maximum request units per month, or `none`
    #[arg(long, value_name = "NUMBER", value_parser = limit)]
    request_unit_limit: Option<Limit>,
    /// BASIC: maximum storage in MiB, or `none`
    #[arg(long, value_name = "MIB", value_parser = limit)]
    storage_mib_limit: Option<Limit>,
    /// STANDARD: provisioned vCPUs; ADVANCED: vCPUs per node
    #[arg(long, value_name = "NUMBER")]
    vcpus: Option<i64>,
    /// ADVANCED: storage per node in GiB
    #[arg(long, value_name = "GIB")]
    storage_gib: Option<i64>,
    /// Region, with the number of nodes for ADVANCED; can be repeated; replaces all regions of the cluster
    #[arg(long = "region", value_name = "REGION[:NODES]", value_parser = create::region_nodes)]
    regions: Vec<(String, i64)>,
    /// Primary region of a cluster with several regions
    #[arg(long, value_name = "REGION")]
    primary_region: Option<String>,
    /// Set a label; can be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = key_value::parse)]
    labels: Vec<(String, String)>,
    /// Remove a label; can be repeated
    #[arg(long = "remove-label", value_name = "KEY")]
    remove_labels: Vec<String>,
    /// Move the cluster to this folder, by name or ID, or to `root`
    #[arg(long, value_name = "FOLDER")]
    folder: Option<String>,
    /// Protect the cluster against deletion
    #[arg(long, value_enum, value_name = "SWITCH")]
    delete_protection: Option<Switch>,
    /// Upgrade to this major version, such as v25.4
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Finalize the last upgrade
    #[arg(long, conflicts_with_all = ["rollback", "version"])]
    finalize: bool,
    /// Roll back the last upgrade
    #[arg(long, conflicts_with = "version")]
    rollback: bool,
    /// STANDARD: whether upgrades start automatically
    #[arg(long, value_enum, value_name = "MODE")]
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
    let folder =
        args.folder.as_deref().map(|wanted| resolve::folder_id(&context.client, wanted)).transpose()?;
    let body = body(args, &cluster, folder);
    if body.is_empty() {
        return Err(
            Failure::usage("no changes specified").hint("see the flags with `ootheca cluster update --help`")
        );
    }
    let name = resolve::name(&cluster);
    let what = format!("updating cluster {name}…");
    let request = || context.client.patch(&path(&cluster, ""), &body.into());
    let updated = wait::until_settled(context, args.wait, &what, request)?;
    context.out.done(&format!("Updated cluster {name}"), &updated, &SHORT)?;
    if updated["upgrade_status"] == "PENDING_FINALIZATION" {
        terminal::message(format!(
            "\nNext: test the upgrade, then finalize it with `ootheca cluster update {name} --finalize`, or roll \
             it back with --rollback."
        ));
    }
    Ok(())
}

/// The body, with changes only. The API replaces labels and limits as a whole, so unchanged ones are
/// repeated.
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
        labels.extend(key_value::object(&args.labels));
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
        // Limits depend on the plan, so those of the old plan are not repeated.
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

    fn body_of(args: UpdateArgs, cluster: &Value) -> Value {
        body(&args, cluster, None).into()
    }

    #[test]
    fn unchanged_labels_and_limits_are_repeated() {
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
        assert_eq!(body_of(args, &cluster), expected);
        let args = UpdateArgs { storage_mib_limit: Some(None), ..UpdateArgs::default() };
        let expected = json!({ "serverless": { "usage_limits": { "request_unit_limit": "5" } } });
        assert_eq!(body_of(args, &cluster), expected);
    }

    #[test]
    fn an_advanced_cluster_has_nodes_and_hardware() {
        let args =
            UpdateArgs { regions: vec![("us-east1".to_owned(), 3)], vcpus: Some(8), ..UpdateArgs::default() };
        let expected = json!({ "dedicated": {
            "region_nodes": { "us-east1": 3 }, "hardware": { "machine_spec": { "num_virtual_cpus": 8 } },
        } });
        assert_eq!(body_of(args, &json!({ "plan": "ADVANCED" })), expected);
    }

    #[test]
    fn without_flags_the_body_is_empty() {
        assert_eq!(body_of(UpdateArgs::default(), &json!({ "plan": "BASIC" })), json!({}));
    }
}
