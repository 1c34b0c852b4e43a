//! The rules for changing a cluster.

use super::create::{
    MachineSpec, REGION_NODES, check_iops, check_limits, check_storage, check_upgrade_type,
    dedicated_regions, node_count, not_implemented, serverless_regions,
};
use super::*;
use crate::{ErrorKind, node::place};
use std::time::Duration;

/// How long a cluster must wait after a change from STANDARD to BASIC before it can change back.
pub const STANDARD_PAUSE: Duration = Duration::from_secs(48 * 3600);

/// How many times the vCPUs of a STANDARD cluster can be decreased within [`CPU_DECREASE_WINDOW`].
pub const CPU_DECREASES: usize = 3;

/// The period in which decreases of vCPUs are counted.
pub const CPU_DECREASE_WINDOW: Duration = Duration::from_secs(7 * 24 * 3600);

/// A request to change a cluster. `None` means no change.
#[derive(Clone, Debug, Default)]
pub struct ClusterPatch {
    pub plan: Option<Plan>,
    /// The `serverless` block.
    pub serverless: Option<PatchServerless>,
    /// The `dedicated` block.
    pub dedicated: Option<PatchDedicated>,
    /// The labels, which replace all existing ones.
    pub labels: Option<BTreeMap<String, String>>,
    /// The folder, which is known to exist; `Some(None)` for the root.
    pub parent: Option<Option<FolderId>>,
    pub delete_protection: Option<DeleteProtection>,
    /// The major version to upgrade to.
    pub cockroach_version: Option<String>,
    /// Finalize or roll back.
    pub upgrade_status: Option<ClusterUpgradeStatus>,
}

/// Changes to a BASIC or STANDARD cluster.
#[derive(Clone, Debug, Default)]
pub struct PatchServerless {
    /// All regions.
    pub regions: Option<Vec<String>>,
    /// The primary region; empty if there is only one region.
    pub primary_region: Option<String>,
    /// The limits, which replace all existing ones.
    pub limits: Option<UsageLimits>,
    /// Whether major upgrades are manual or automatic.
    pub upgrade_type: Option<UpgradeType>,
}

/// Changes to an ADVANCED cluster.
#[derive(Clone, Debug, Default)]
pub struct PatchDedicated {
    /// The number of nodes by region.
    pub region_nodes: Option<BTreeMap<String, i64>>,
    pub machine: Option<MachineSpec>,
    /// The machines by region.
    pub region_machines: BTreeMap<String, MachineSpec>,
    /// The storage of a node in GiB.
    pub storage_gib: Option<i64>,
    /// The disk operations per second.
    pub disk_iops: Option<i64>,
    /// Whether the request contains CMEK specifications.
    pub cmek_region_specs: bool,
}

/// Applies `patch`, or returns the first rule that it violates. A patch that changes nothing is valid, unless the
/// cluster is LOCKED.
///
/// The generation increases if and only if the instance plan changes.
pub fn patch(before: &Cluster, patch: &ClusterPatch, catalog: &Catalog, now: Timestamp) -> Result<Cluster> {
    before.check_unlocked()?;
    check_version_change(before, patch, catalog)?;
    let mut after = before.clone();
    if let Some(parent) = patch.parent {
        after.parent = parent;
    }
    if let Some(labels) = &patch.labels {
        check_labels(labels)?;
        after.labels.clone_from(labels);
    }
    if let Some(protection) = patch.delete_protection {
        after.delete_protection = protection;
    }
    match &before.config {
        Config::Serverless { upgrade_type, limits } => {
            if patch.dedicated.is_some() {
                return Err(Error::invalid(
                    "dedicated",
                    format!("is only valid for plan ADVANCED; the plan of this cluster is {}", before.plan),
                ));
            }
            after.plan = change_plan(before, patch.plan, now)?;
            if after.plan != before.plan {
                after.backup = Some(before.backup_configuration().on_plan(after.plan));
            }
            let block = patch.serverless.clone().unwrap_or_default();
            let limits = if after.plan == before.plan { *limits } else { UsageLimits::default() };
            patch_serverless(&mut after, &block, *upgrade_type, limits, catalog)?;
            if before.plan == Plan::Standard && after.plan == Plan::Standard {
                count_cpu_decrease(&mut after, limits.virtual_cpus, now)?;
            }
            if before.plan == Plan::Standard && after.plan == Plan::Basic {
                after.left_standard_at = Some(now);
            }
        }
        Config::Dedicated { .. } => {
            if patch.serverless.is_some() {
                return Err(Error::invalid(
                    "serverless",
                    "is only valid for plans BASIC and STANDARD; the plan of this cluster is ADVANCED",
                ));
            }
            if patch.plan.is_some_and(|plan| plan != Plan::Advanced) {
                return Err(Error::invalid("plan", "can't be changed from ADVANCED; create a new cluster"));
            }
            let block = patch.dedicated.clone().unwrap_or_default();
            patch_dedicated(&mut after, &block)?;
            if let Some(nodes) = &block.region_nodes {
                scale(&mut after, nodes, catalog, now)?;
            }
            if after.config != before.config || after.nodes != before.nodes {
                before.check_specification()?;
            }
        }
    }
    if after.plan_instance() != before.plan_instance() {
        after.generation += 1;
    }
    // Only BASIC clusters scale to zero.
    if after.plan != Plan::Basic {
        after.power = Power::On;
    }
    if after != *before {
        after.updated_at = now;
    }
    Ok(after)
}

/// Returns the audit action that describes the change best.
pub fn audit_action(patch: &ClusterPatch, before: &Cluster, after: &Cluster) -> &'static str {
    let mut only_protection = before.clone();
    only_protection.delete_protection = after.delete_protection;
    only_protection.updated_at = after.updated_at;
    if patch.cockroach_version.is_some() {
        "UPDATE_CLUSTER_MAJOR_VERSION"
    } else if patch.upgrade_status == Some(ClusterUpgradeStatus::Finalized) {
        "FINALIZE_CLUSTER_MAJOR_VERSION_UPDATE"
    } else if patch.upgrade_status == Some(ClusterUpgradeStatus::RollbackRunning) {
        "ROLLBACK_CLUSTER_MAJOR_VERSION_UPDATE"
    } else if after.plan != before.plan {
        "CREATE_PLAN_MIGRATION"
    } else if after.delete_protection != before.delete_protection && only_protection == *after {
        "SET_DELETE_PROTECTION"
    } else {
        "UPDATE_CLUSTER"
    }
}

fn check_version_change(before: &Cluster, patch: &ClusterPatch, catalog: &Catalog) -> Result<()> {
    let others = patch.plan.is_some()
        || patch.serverless.is_some()
        || patch.dedicated.is_some()
        || patch.labels.is_some()
        || patch.parent.is_some()
        || patch.delete_protection.is_some();
    let version = patch.cockroach_version.as_deref();
    if version.is_some() && patch.upgrade_status.is_some() {
        return Err(Error::invalid("cockroach_version", "can't be combined with upgrade_status"));
    }
    if others && (version.is_some() || patch.upgrade_status.is_some()) {
        let field = if version.is_some() { "cockroach_version" } else { "upgrade_status" };
        return Err(Error::invalid(field, "can't be combined with any other change"));
    }
    match version {
        Some(version) if version == before.version => Ok(()),
        Some(version) if catalog.version(version).is_none() => {
            Err(Error::invalid("cockroach_version", format!("{version:?} is not a known major version")))
        }
        Some(_) => Err(not_implemented("cockroach_version: a major upgrade")),
        None if patch.upgrade_status.is_some() => {
            let message = "upgrade_status: the cluster has no major upgrade to finalize or roll back";
            Err(Error::precondition(message))
        }
        None => Ok(()),
    }
}

fn change_plan(before: &Cluster, wanted: Option<Plan>, now: Timestamp) -> Result<Plan> {
    let wanted = wanted.unwrap_or(before.plan);
    if wanted == Plan::Advanced {
        return Err(Error::invalid("plan", "can't be changed to ADVANCED; create a new cluster"));
    }
    let waiting = before.left_standard_at.is_some_and(|left| now.since(left) < STANDARD_PAUSE);
    if wanted == Plan::Standard && before.plan == Plan::Basic && waiting {
        let message =
            "plan: a cluster can be changed back to STANDARD 48 hours after it was changed to BASIC";
        return Err(Error::new(ErrorKind::Precondition, message));
    }
    Ok(wanted)
}

fn patch_serverless(
    after: &mut Cluster,
    block: &PatchServerless,
    upgrade_type: UpgradeType,
    limits: UsageLimits,
    catalog: &Catalog,
) -> Result<()> {
    let limits = block.limits.unwrap_or(limits);
    check_limits(after.plan, &limits)?;
    // The type is not changed silently: Terraform fails if an update changes what it doesn't request.
    let upgrade_type = block.upgrade_type.unwrap_or(upgrade_type);
    check_upgrade_type(after.plan, upgrade_type)?;
    let current: Vec<String> = after.regions.iter().map(|region| region.name.clone()).collect();
    let names = block.regions.clone().filter(|names| !names.is_empty()).unwrap_or_else(|| current.clone());
    if let Some(lost) = current.iter().find(|name| !names.contains(name)) {
        return Err(Error::invalid("serverless.regions", format!("regions can't be removed: {lost}")));
    }
    let kept = after.regions.iter().find(|region| region.primary).map(|region| region.name.clone());
    let primary = block.primary_region.clone().filter(|name| !name.is_empty()).or(kept).unwrap_or_default();
    after.regions = serverless_regions(after.provider, after.plan, &names, &primary, catalog)?;
    after.config = Config::Serverless { upgrade_type, limits };
    Ok(())
}

/// vCPUs can be increased at any time, but decreased only three times in any seven days.
fn count_cpu_decrease(after: &mut Cluster, before: Option<i64>, now: Timestamp) -> Result<()> {
    let Config::Serverless { limits, .. } = &after.config else { return Ok(()) };
    if limits.virtual_cpus >= before {
        return Ok(());
    }
    after.lowered_cpus_at.retain(|at| now.since(*at) < CPU_DECREASE_WINDOW);
    if after.lowered_cpus_at.len() >= CPU_DECREASES {
        let oldest = after.lowered_cpus_at.first().copied().unwrap_or(now);
        let message = format!(
            "serverless.usage_limits.provisioned_virtual_cpus: can be decreased {CPU_DECREASES} times in 7 days; the next decrease is possible at {}",
            oldest.after(CPU_DECREASE_WINDOW)
        );
        return Err(Error::precondition(message));
    }
    after.lowered_cpus_at.push(now);
    Ok(())
}

fn patch_dedicated(after: &mut Cluster, block: &PatchDedicated) -> Result<()> {
    if block.cmek_region_specs {
        return Err(not_implemented("dedicated.cmek_region_specs"));
    }
    let provider = after.provider;
    let region = after.regions.first().and_then(|region| block.region_machines.get(&region.name));
    let Config::Dedicated { machine_type, virtual_cpus, memory_gib, storage_gib, disk_iops } =
        &mut after.config
    else {
        return Ok(());
    };
    if let Some(spec) = region.or(block.machine.as_ref()).filter(|spec| **spec != MachineSpec::default()) {
        let machine = spec.resolve(provider)?;
        if machine.virtual_cpus != *virtual_cpus || spec.machine_type.is_some() {
            *machine_type = machine.machine_type;
            *virtual_cpus = machine.virtual_cpus;
            *memory_gib = machine.memory_gib;
        }
    }
    if let Some(wanted) = block.storage_gib.filter(|gib| *gib != 0) {
        let wanted = check_storage(wanted, *virtual_cpus)?;
        if wanted < *storage_gib {
            return Err(Error::invalid("dedicated.hardware.storage_gib", "can't be decreased"));
        }
        if wanted != *storage_gib {
            *storage_gib = wanted;
            *disk_iops = check_iops(provider, 0, wanted)?;
        }
    }
    if let Some(wanted) = block.disk_iops {
        *disk_iops = check_iops(provider, wanted, *storage_gib)?;
    }
    Ok(())
}

/// Changes how many nodes each region has. The reconciler adds and removes the nodes while the cluster is LOCKED. The same
/// numbers again repeat an operation that has failed.
fn scale(
    after: &mut Cluster,
    region_nodes: &BTreeMap<String, i64>,
    catalog: &Catalog,
    now: Timestamp,
) -> Result<()> {
    let current = after.regions.iter().map(|region| (region.name.clone(), i64::from(region.nodes)));
    let current: BTreeMap<String, i64> = current.collect();
    let failed =
        |operation: &Operation| operation.kind == OperationKind::Scale && operation.failure.is_some();
    if *region_nodes == current && !after.operation.as_ref().is_some_and(failed) {
        return Ok(());
    }
    let regions = dedicated_regions(after.provider, region_nodes, catalog)?;
    let (before, nodes) = (node_count(&after.regions), node_count(&regions));
    if before > 1 && nodes == 1 {
        return Err(Error::invalid(REGION_NODES, "can't be decreased to 1 node"));
    }
    if nodes == 1 {
        return Err(not_implemented("dedicated.region_nodes: moving the only node to another region"));
    }
    after.check_specification()?;
    if after.state != ClusterState::Created || after.restore.is_some() {
        let message = "dedicated.region_nodes: can't be changed while the cluster is being created or a backup is restored into it";
        return Err(Error::precondition(message));
    }
    let primary = after.leadership.primary;
    let placed = place(&regions, &after.members(), after.last_node);
    (after.nodes, after.last_node) = (placed.nodes, placed.last_node);
    keep_primary(&mut after.nodes, primary);
    after.regions = regions;
    after.operation = Some(Operation { kind: OperationKind::Scale, started_at: now, failure: None });
    after.state = ClusterState::Locked;
    Ok(())
}

/// Lets another node of the same region leave instead of the primary, preferably one of the same zone: the primary would
/// have to change.
fn keep_primary(nodes: &mut [NodeSpec], primary: NodeId) {
    let leaves = |node: &&NodeSpec| node.id == primary && node.stage == NodeStage::Leaving;
    let Some(leaving) = nodes.iter().find(leaves).cloned() else { return };
    let staying = nodes.iter_mut().filter(|node| {
        node.region == leaving.region && node.stage != NodeStage::Leaving && node.id != primary
    });
    let Some(other) = staying.max_by_key(|node| (node.zone == leaving.zone, node.id)) else { return };
    other.stage = NodeStage::Leaving;
    nodes.iter_mut().filter(|node| node.id == primary).for_each(|node| node.stage = NodeStage::Member);
}
