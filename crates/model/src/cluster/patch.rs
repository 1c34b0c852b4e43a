//! The rules for changing a cluster.

use super::create::{
    MachineSpec, check_iops, check_limits, check_storage, check_upgrade_type, not_implemented,
    serverless_regions,
};
use super::*;
use crate::ErrorKind;
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
            patch_dedicated(&mut after, &patch.dedicated.clone().unwrap_or_default())?;
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
    if let Some(nodes) = &block.region_nodes {
        let current: BTreeMap<String, i64> =
            after.regions.iter().map(|region| (region.name.clone(), i64::from(region.nodes))).collect();
        if *nodes != current {
            return Err(not_implemented("dedicated.region_nodes: changing nodes or regions"));
        }
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
