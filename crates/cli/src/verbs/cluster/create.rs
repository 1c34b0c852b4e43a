//! `ootheca cluster create`. Every argument has a default, except for the source of a clone.

use super::{Context, SHORT, expiry::ExpiryArgs, names, source::DataArgs, wait};
use crate::verbs::key_value;
use crate::{
    failure::{Failure, Result},
    output::plain,
    resolve, terminal,
};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

/// Verbs of `create`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    #[command(flatten)]
    OfPlan(Plan),
    /// Create a clone of another cluster, with its plan, regions, and limits
    Clone(CloneArgs),
}

/// Plans.
#[derive(Subcommand)]
pub(crate) enum Plan {
    /// Create a BASIC cluster, which is metered by usage and scales to zero when idle
    #[command(visible_alias = "serverless")]
    Basic(BasicArgs),
    /// Create a STANDARD cluster with provisioned vCPUs
    Standard(StandardArgs),
    /// Create an ADVANCED cluster with dedicated nodes
    #[command(visible_alias = "dedicated")]
    Advanced(AdvancedArgs),
}

/// Clouds that regions are named after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum Cloud {
    /// Google Cloud
    Gcp,
    /// Amazon Web Services
    Aws,
    /// Microsoft Azure
    Azure,
}

impl Cloud {
    fn name(self) -> &'static str {
        match self {
            Cloud::Gcp => "GCP",
            Cloud::Aws => "AWS",
            Cloud::Azure => "AZURE",
        }
    }
}

/// Flags of every plan.
#[derive(Args)]
struct CommonArgs {
    /// Name of the cluster [default: a generated name, such as blue-dog]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Cloud that the regions are named after [default: the cloud of the first region]
    #[arg(long, value_enum, ignore_case = true, value_name = "CLOUD")]
    cloud: Option<Cloud>,
    /// Folder of the cluster, by name or ID [default: root]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<String>,
    /// Label; can be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = key_value::parse)]
    labels: Vec<(String, String)>,
    /// Protect the cluster against deletion
    #[arg(long, conflicts_with_all = ["expires_in", "expires_at"])]
    delete_protection: bool,
    /// Begin with the data and the SQL users of this cluster, by name or ID; of a deleted cluster, by ID
    #[arg(long, visible_alias = "source-cluster-id", value_name = "CLUSTER")]
    from: Option<String>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    expiry: ExpiryArgs,
    #[command(flatten)]
    wait: wait::WaitArgs,
}

/// Flags of `create clone`.
#[derive(Args)]
pub(crate) struct CloneArgs {
    /// Name of the clone [default: a generated name, such as blue-dog]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Cluster whose data and SQL users the clone begins with, by name or ID; of a deleted cluster, by ID
    #[arg(long, visible_alias = "source-cluster-id", value_name = "CLUSTER")]
    from: String,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    expiry: ExpiryArgs,
    #[command(flatten)]
    wait: wait::WaitArgs,
}

/// Flags of `create basic`.
#[derive(Args)]
pub(crate) struct BasicArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Regions [default: the nearest region]
    #[arg(value_name = "REGION")]
    regions: Vec<String>,
    /// Primary region of a cluster with several regions [default: the first]
    #[arg(long, value_name = "REGION")]
    primary_region: Option<String>,
    /// Maximum request units per month [default: unlimited]
    #[arg(long, value_name = "NUMBER")]
    request_unit_limit: Option<i64>,
    /// Maximum storage in MiB [default: unlimited]
    #[arg(long, value_name = "MIB")]
    storage_mib_limit: Option<i64>,
}

/// Flags of `create standard`.
#[derive(Args)]
pub(crate) struct StandardArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Regions [default: the nearest region]
    #[arg(value_name = "REGION")]
    regions: Vec<String>,
    /// Primary region of a cluster with several regions [default: the first]
    #[arg(long, value_name = "REGION")]
    primary_region: Option<String>,
    /// Provisioned vCPUs
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    vcpus: i64,
    /// Don't start upgrades automatically
    #[arg(long)]
    manual_upgrades: bool,
}

/// Flags of `create advanced`.
#[derive(Args)]
pub(crate) struct AdvancedArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Regions with their number of nodes [default: one node in the nearest region]
    #[arg(value_name = "REGION[:NODES]", value_parser = region_nodes)]
    regions: Vec<(String, i64)>,
    /// vCPUs per node
    #[arg(long, value_name = "NUMBER", default_value_t = 4)]
    vcpus: i64,
    /// Storage per node in GiB [default: the smallest size]
    #[arg(long, value_name = "GIB")]
    storage_gib: Option<i64>,
    /// Major version, such as v25.4 [default: the default version of the server]
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
}

/// Parses `REGION` or `REGION:NODES`.
pub(super) fn region_nodes(text: &str) -> std::result::Result<(String, i64), String> {
    let (name, nodes) = text.split_once(':').unwrap_or((text, "1"));
    match nodes.parse() {
        Ok(nodes) if !name.is_empty() => Ok((name.to_owned(), nodes)),
        _ => Err("must have the form REGION or REGION:NODES, such as us-east1:3".to_owned()),
    }
}

/// Creates a cluster.
pub(super) fn create(context: &Context, verb: Verb) -> Result<()> {
    match verb {
        Verb::OfPlan(plan) => create_of_plan(context, &plan),
        Verb::Clone(args) => clone(context, &args),
    }
}

/// Creates a clone with the specification of its source.
fn clone(context: &Context, args: &CloneArgs) -> Result<()> {
    let source = args.data.restore_from(context, &args.from)?;
    let name = args.name.as_deref();
    send(context, name, json!({ "restore_from": source }), &args.expiry, args.wait)
}

fn create_of_plan(context: &Context, plan: &Plan) -> Result<()> {
    let (common, regions, serverless) = match plan {
        Plan::Basic(args) => (&args.common, args.regions.clone(), true),
        Plan::Standard(args) => (&args.common, args.regions.clone(), true),
        Plan::Advanced(args) => {
            (&args.common, args.regions.iter().map(|(name, _)| name.clone()).collect(), false)
        }
    };
    let (cloud, regions) = locate(context, common.cloud, regions, serverless)?;
    let mut spec = Map::new();
    let plan = fill(&mut spec, plan, &regions);
    spec.insert("plan".to_owned(), plan.into());
    if !common.labels.is_empty() {
        spec.insert("labels".to_owned(), key_value::object(&common.labels).into());
    }
    if let Some(wanted) = &common.folder {
        spec.insert("parent_id".to_owned(), resolve::folder_id(&context.client, wanted)?.into());
    }
    if common.delete_protection {
        spec.insert("delete_protection".to_owned(), "ENABLED".into());
    }
    let mut body = json!({ "provider": cloud, "spec": spec });
    if let Some(source) = &common.from {
        body["restore_from"] = common.data.restore_from(context, source)?;
    }
    send(context, common.name.as_deref(), body, &common.expiry, common.wait)
}

/// Adds the name, or a generated one, and the expiry to the body, sends it, and waits until the cluster is created.
fn send(
    context: &Context,
    name: Option<&str>,
    mut body: Value,
    expiry: &ExpiryArgs,
    args: wait::WaitArgs,
) -> Result<()> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => {
            let clusters = context.client.pages("/api/v1/clusters", "clusters")?;
            names::generate(&clusters.iter().map(resolve::name).collect::<Vec<_>>())
        }
    };
    body["name"] = name.as_str().into();
    if let Some(time) = expiry.expires_at() {
        body["expires_at"] = time.to_string().into();
    }
    let what = format!("creating cluster {name}…");
    let request = || context.client.post("/api/v1/clusters", &body);
    let cluster = wait::until_settled(context, args, &what, request)?;
    match cluster["state"].as_str() {
        Some("CREATED") => {
            context.out.done(&format!("Created cluster {name}"), &cluster, &SHORT)?;
            let mut next = format!("open a SQL shell with `ootheca cluster sql {name}`");
            // Others begin with an allowlist that allows all networks.
            if cluster["plan"] == "ADVANCED" {
                next =
                    format!("allow your address with `ootheca allowlist create {name} current`, then {next}");
            }
            terminal::message(format!("\nNext: {next}"));
            Ok(())
        }
        Some("CREATING") => {
            context.out.record(&cluster, &SHORT)?;
            terminal::message(format!(
                "\nThe cluster is being created. Check its state with `ootheca cluster info {name}`"
            ));
            Ok(())
        }
        _ => {
            let message = format!("could not create cluster {name}: {}", why_not_created(&cluster));
            Err(Failure::failed(message).hint("nothing is left of it; the name can be used again"))
        }
    }
}

/// Why the cluster was not created.
fn why_not_created(cluster: &Value) -> String {
    let conditions = cluster.pointer("/ootheca/conditions").and_then(Value::as_array);
    let failed = conditions.into_iter().flatten().find(|condition| condition["kind"] == "CreationFailed");
    let message = failed.and_then(|condition| condition["message"].as_str());
    message.map_or_else(|| format!("its state is {}", plain(&cluster["state"])), str::to_owned)
}

/// Adds the settings that depend on the plan, and returns the name of the plan.
fn fill(spec: &mut Map<String, Value>, plan: &Plan, regions: &[String]) -> &'static str {
    match plan {
        Plan::Basic(args) => {
            let mut block = serverless(regions, args.primary_region.as_deref());
            let mut limits = Map::new();
            let all = [
                ("request_unit_limit", args.request_unit_limit),
                ("storage_mib_limit", args.storage_mib_limit),
            ];
            for (name, limit) in all {
                limits.extend(limit.map(|limit| (name.to_owned(), limit.to_string().into())));
            }
            if !limits.is_empty() {
                block["usage_limits"] = limits.into();
            }
            spec.insert("serverless".to_owned(), block);
            "BASIC"
        }
        Plan::Standard(args) => {
            let mut block = serverless(regions, args.primary_region.as_deref());
            block["usage_limits"] = json!({ "provisioned_virtual_cpus": args.vcpus.to_string() });
            if args.manual_upgrades {
                block["upgrade_type"] = "MANUAL".into();
            }
            spec.insert("serverless".to_owned(), block);
            "STANDARD"
        }
        Plan::Advanced(args) => {
            let one = regions.iter().map(|name| (name.clone(), 1)).collect();
            let nodes = if args.regions.is_empty() { one } else { args.regions.clone() };
            let nodes: Map<String, Value> =
                nodes.into_iter().map(|(name, nodes)| (name, nodes.into())).collect();
            let mut hardware = json!({ "machine_spec": { "num_virtual_cpus": args.vcpus } });
            if let Some(storage) = args.storage_gib {
                hardware["storage_gib"] = storage.into();
            }
            let mut block = json!({ "region_nodes": nodes, "hardware": hardware });
            if let Some(version) = &args.version {
                block["cockroach_version"] = version.clone().into();
            }
            spec.insert("dedicated".to_owned(), block);
            "ADVANCED"
        }
    }
}

fn serverless(regions: &[String], primary: Option<&str>) -> Value {
    let mut block = json!({ "regions": regions });
    let several = (regions.len() > 1).then(|| regions.first().map(String::as_str)).flatten();
    if let Some(primary) = primary.or(several) {
        block["primary_region"] = primary.into();
    }
    block
}

/// Regions that are preferred among those at the same distance.
const PREFERRED: [&str; 3] = ["us-central1", "us-east-1", "eastus"];

/// The cloud and the regions: the specified ones, or else the nearest region.
fn locate(
    context: &Context,
    cloud: Option<Cloud>,
    regions: Vec<String>,
    serverless: bool,
) -> Result<(String, Vec<String>)> {
    if let (Some(cloud), false) = (cloud, regions.is_empty()) {
        return Ok((cloud.name().to_owned(), regions));
    }
    let mut query = String::new();
    if serverless {
        query.push_str("?serverless=true");
    }
    let available = context.client.pages(&format!("/api/v1/clusters/available-regions{query}"), "regions")?;
    choose(cloud, regions, &available)
}

fn choose(cloud: Option<Cloud>, regions: Vec<String>, available: &[Value]) -> Result<(String, Vec<String>)> {
    let text = |region: &Value, member: &str| region[member].as_str().unwrap_or_default().to_owned();
    if let Some(first) = regions.first() {
        // The server rejects an unknown region with a better message.
        let known = available.iter().find(|region| region["name"] == first.as_str());
        let cloud = known.map_or_else(|| "GCP".to_owned(), |region| text(region, "provider"));
        return Ok((cloud, regions));
    }
    let wanted = |region: &&Value| cloud.is_none_or(|cloud| region["provider"] == cloud.name());
    let rank = |region: &Value| {
        let preference = PREFERRED.iter().position(|name| region["name"] == *name).unwrap_or(PREFERRED.len());
        (region["distance"].as_f64().unwrap_or(f64::MAX), preference)
    };
    let nearest = available.iter().filter(wanted).min_by(|left, right| {
        let (left, right) = (rank(left), rank(right));
        left.0.total_cmp(&right.0).then(left.1.cmp(&right.1))
    });
    match nearest {
        Some(region) => Ok((text(region, "provider"), vec![text(region, "name")])),
        None => Err(Failure::failed("no region available").hint("list the regions with `ootheca regions`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn available() -> Vec<Value> {
        let region = |name: &str, provider: &str, distance: f64| json!({ "name": name, "provider": provider, "distance": distance });
        vec![
            region("ap-south-1", "AWS", 9000.0),
            region("us-east-1", "AWS", 100.0),
            region("us-central1", "GCP", 100.0),
            region("europe-west1", "GCP", 4000.0),
        ]
    }

    #[test]
    fn the_nearest_region_is_the_default() {
        let chosen = |cloud, regions: &[&str]| {
            let regions = regions.iter().map(|name| (*name).to_owned()).collect();
            choose(cloud, regions, &available()).unwrap()
        };
        let pair = |cloud: &str, region: &str| (cloud.to_owned(), vec![region.to_owned()]);
        assert_eq!(chosen(None, &[]), pair("GCP", "us-central1"));
        assert_eq!(chosen(Some(Cloud::Aws), &[]), pair("AWS", "us-east-1"));
        assert_eq!(chosen(None, &["ap-south-1"]), pair("AWS", "ap-south-1"));
        assert!(choose(Some(Cloud::Azure), Vec::new(), &available()).is_err());
    }

    #[test]
    fn a_failed_creation_says_why() {
        let condition = |kind: &str| json!({ "kind": kind, "holds": true, "message": "division by zero" });
        let failed = |all: Value| json!({ "state": "CREATION_FAILED", "ootheca": { "conditions": all } });
        let known = failed(json!([condition("CpuLimited"), condition("CreationFailed")]));
        assert_eq!(why_not_created(&known), "division by zero");
        let unknown = failed(json!([condition("CpuLimited")]));
        assert_eq!(why_not_created(&unknown), "its state is CREATION_FAILED");
        assert_eq!(why_not_created(&json!({ "state": "DELETED" })), "its state is DELETED");
    }

    #[test]
    fn regions_can_have_a_number_of_nodes() {
        assert_eq!(region_nodes("us-east1:3"), Ok(("us-east1".to_owned(), 3)));
        assert_eq!(region_nodes("us-east1"), Ok(("us-east1".to_owned(), 1)));
        assert!(region_nodes("us-east1:x").is_err());
    }
}
