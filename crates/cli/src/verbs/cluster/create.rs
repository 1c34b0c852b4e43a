//! `ootheca cluster create`: asks for as little as it can.

use super::{Context, SHORT, names, wait};
use crate::{
    failure::{Failure, Result},
    resolve, talk,
};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

/// The plan of the new cluster.
#[derive(Subcommand)]
pub(crate) enum Plan {
    /// Pays for what is used, sleeps when nobody is connected
    #[command(visible_alias = "serverless")]
    Basic(BasicArgs),
    /// A number of vCPUs that is always there
    Standard(StandardArgs),
    /// Machines of its own
    #[command(visible_alias = "dedicated")]
    Advanced(AdvancedArgs),
}

/// The cloud that regions are named after.
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
    fn word(self) -> &'static str {
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
    /// The cluster's name [default: a friendly one, such as blue-dog]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The cloud that regions are named after [default: that of the region]
    #[arg(long, value_enum, ignore_case = true, value_name = "CLOUD")]
    cloud: Option<Cloud>,
    /// The folder to put it in, by name or id
    #[arg(long, value_name = "FOLDER")]
    folder: Option<String>,
    /// A label; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Refuse to delete it until that is switched off
    #[arg(long)]
    delete_protection: bool,
    #[command(flatten)]
    wait: wait::WaitArgs,
}

/// Flags of `create basic`.
#[derive(Args)]
pub(crate) struct BasicArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Its regions [default: the nearest one]
    #[arg(value_name = "REGION")]
    regions: Vec<String>,
    /// The primary one of several regions [default: the first]
    #[arg(long, value_name = "REGION")]
    primary_region: Option<String>,
    /// Request units that it may use in a month
    #[arg(long, value_name = "NUMBER")]
    request_unit_limit: Option<i64>,
    /// Mebibytes that it may store
    #[arg(long, value_name = "MIB")]
    storage_mib_limit: Option<i64>,
}

/// Flags of `create standard`.
#[derive(Args)]
pub(crate) struct StandardArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Its regions [default: the nearest one]
    #[arg(value_name = "REGION")]
    regions: Vec<String>,
    /// The primary one of several regions [default: the first]
    #[arg(long, value_name = "REGION")]
    primary_region: Option<String>,
    /// vCPUs that are always there [default: the smallest number]
    #[arg(long, value_name = "NUMBER")]
    vcpus: Option<i64>,
    /// Begin upgrades by hand only
    #[arg(long)]
    manual_upgrades: bool,
}

/// Flags of `create advanced`.
#[derive(Args)]
pub(crate) struct AdvancedArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Its regions, with their number of nodes [default: one node in the nearest one]
    #[arg(value_name = "REGION[:NODES]", value_parser = region_nodes)]
    regions: Vec<(String, i64)>,
    /// vCPUs of each node
    #[arg(long, value_name = "NUMBER", default_value_t = 4)]
    vcpus: i64,
    /// Storage of each node in GiB [default: the smallest size]
    #[arg(long, value_name = "GIB")]
    storage_gib: Option<i64>,
    /// Major version, such as v25.4 [default: the newest]
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
}

/// `key=value`.
pub(super) fn label(text: &str) -> std::result::Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() { Err("must be KEY=VALUE".to_owned()) } else { Ok((key.to_owned(), value.to_owned())) }
}

/// `region` or `region:nodes`.
pub(super) fn region_nodes(text: &str) -> std::result::Result<(String, i64), String> {
    let (name, nodes) = text.split_once(':').unwrap_or((text, "1"));
    match nodes.parse() {
        Ok(nodes) if !name.is_empty() => Ok((name.to_owned(), nodes)),
        _ => Err("must be REGION or REGION:NODES, such as us-east1:3".to_owned()),
    }
}

/// Makes a cluster.
pub(super) fn create(context: &Context, plan: Plan) -> Result<()> {
    let (common, regions, serverless) = match &plan {
        Plan::Basic(args) => (&args.common, args.regions.clone(), true),
        Plan::Standard(args) => (&args.common, args.regions.clone(), true),
        Plan::Advanced(args) => {
            (&args.common, args.regions.iter().map(|(name, _)| name.clone()).collect(), false)
        }
    };
    let (cloud, regions) = place(context, common.cloud, regions, serverless)?;
    let mut spec = Map::new();
    let word = fill(&mut spec, &plan, &regions);
    spec.insert("plan".to_owned(), word.into());
    if !common.labels.is_empty() {
        let labels: Map<String, Value> =
            common.labels.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
        spec.insert("labels".to_owned(), labels.into());
    }
    if let Some(wanted) = common.folder.as_deref().filter(|wanted| *wanted != "root") {
        let folder = resolve::folder(&context.client, wanted)?;
        spec.insert("parent_id".to_owned(), resolve::id(&folder).into());
    }
    if common.delete_protection {
        spec.insert("delete_protection".to_owned(), "ENABLED".into());
    }
    let name = match &common.name {
        Some(name) => name.clone(),
        None => {
            let clusters = context.client.pages("/api/v1/clusters", "clusters")?;
            names::fresh(&clusters.iter().map(resolve::name).collect::<Vec<_>>())
        }
    };
    make(context, &json!({ "name": name, "provider": cloud, "spec": spec }), common.wait)
}

fn make(context: &Context, body: &Value, waiting: wait::WaitArgs) -> Result<()> {
    let name = resolve::name(body);
    let what = format!("creating cluster {name}…");
    let ask = || context.client.post("/api/v1/clusters", body);
    let cluster = wait::done(context, waiting, &what, ask)?;
    match cluster["state"].as_str() {
        Some("CREATED") => {
            context.out.done(&format!("Created cluster {name}"), &cluster, &SHORT)?;
            talk::say(format!("\nNext: `ootheca cluster sql {name}` opens a SQL shell"));
            Ok(())
        }
        Some("CREATING") => {
            context.out.record(&cluster, &SHORT)?;
            talk::say(format!("\nIt is being made; `ootheca cluster info {name}` shows how far it is"));
            Ok(())
        }
        state => {
            let state = state.unwrap_or_default();
            let message = format!("cluster {name} could not be made: its state is {state}");
            Err(Failure::failed(message)
                .hint(format!("`ootheca cluster delete {name}` removes what is left")))
        }
    }
}

/// Fills in what depends on the plan; returns its word.
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
            if let Some(vcpus) = args.vcpus {
                block["usage_limits"] = json!({ "provisioned_virtual_cpus": vcpus.to_string() });
            }
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

/// Where there is no distance, these come first.
const USUAL: [&str; 3] = ["us-central1", "us-east-1", "eastus"];

/// The cloud and the regions: what was asked for, else the nearest that is offered.
fn place(
    context: &Context,
    cloud: Option<Cloud>,
    regions: Vec<String>,
    serverless: bool,
) -> Result<(String, Vec<String>)> {
    if let (Some(cloud), false) = (cloud, regions.is_empty()) {
        return Ok((cloud.word().to_owned(), regions));
    }
    let mut query = String::new();
    if serverless {
        query.push_str("?serverless=true");
    }
    let offered = context.client.pages(&format!("/api/v1/clusters/available-regions{query}"), "regions")?;
    choose(cloud, regions, &offered)
}

fn choose(cloud: Option<Cloud>, regions: Vec<String>, offered: &[Value]) -> Result<(String, Vec<String>)> {
    let text = |region: &Value, member: &str| region[member].as_str().unwrap_or_default().to_owned();
    if let Some(first) = regions.first() {
        // A region that is not known is refused by the server, with the rule.
        let known = offered.iter().find(|region| region["name"] == first.as_str());
        let cloud = known.map_or_else(|| "GCP".to_owned(), |region| text(region, "provider"));
        return Ok((cloud, regions));
    }
    let wanted = |region: &&Value| cloud.is_none_or(|cloud| region["provider"] == cloud.word());
    let rank = |region: &Value| {
        let usual = USUAL.iter().position(|name| region["name"] == *name).unwrap_or(USUAL.len());
        (region["distance"].as_f64().unwrap_or(f64::MAX), usual)
    };
    let nearest = offered.iter().filter(wanted).min_by(|left, right| {
        let (left, right) = (rank(left), rank(right));
        left.0.total_cmp(&right.0).then(left.1.cmp(&right.1))
    });
    match nearest {
        Some(region) => Ok((text(region, "provider"), vec![text(region, "name")])),
        None => Err(Failure::failed("no region is offered for that")
            .hint("`ootheca regions` shows what is offered, by cloud")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered() -> Vec<Value> {
        let region = |name: &str, provider: &str, distance: f64| json!({ "name": name, "provider": provider, "distance": distance });
        vec![
            region("ap-south-1", "AWS", 9000.0),
            region("us-east-1", "AWS", 100.0),
            region("us-central1", "GCP", 100.0),
            region("europe-west1", "GCP", 4000.0),
        ]
    }

    #[test]
    fn the_nearest_region_is_taken_and_the_usual_one_of_equals() {
        let chosen = |cloud, regions: &[&str]| {
            let regions = regions.iter().map(|name| (*name).to_owned()).collect();
            choose(cloud, regions, &offered()).unwrap()
        };
        let pair = |cloud: &str, region: &str| (cloud.to_owned(), vec![region.to_owned()]);
        assert_eq!(chosen(None, &[]), pair("GCP", "us-central1"));
        assert_eq!(chosen(Some(Cloud::Aws), &[]), pair("AWS", "us-east-1"));
        assert_eq!(chosen(None, &["ap-south-1"]), pair("AWS", "ap-south-1"));
        assert!(choose(Some(Cloud::Azure), Vec::new(), &offered()).is_err());
    }

    #[test]
    fn words_of_flags() {
        assert_eq!(label("team=data"), Ok(("team".to_owned(), "data".to_owned())));
        assert_eq!(label("only"), Ok(("only".to_owned(), String::new())));
        assert!(label("=x").is_err());
        assert_eq!(region_nodes("us-east1:3"), Ok(("us-east1".to_owned(), 3)));
        assert_eq!(region_nodes("us-east1"), Ok(("us-east1".to_owned(), 1)));
        assert!(region_nodes("us-east1:x").is_err());
    }
}
