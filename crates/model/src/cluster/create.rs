//! The rules for creating a cluster.

use super::*;
use crate::{ErrorKind, catalog, instance::Power, names, node::place};

/// The maximum length of a cluster name. With a dash and a five-digit number it is still a valid DNS label.
pub const NAME_MAX: usize = 57;

/// The number of vCPUs of a STANDARD cluster in the API versions in which it can be omitted with the plan.
pub const DEFAULT_CPUS: i64 = 2;

pub(super) const REGION_NODES: &str = "dedicated.region_nodes";

/// A request for a new cluster.
#[derive(Clone, Debug, Default)]
pub struct NewCluster {
    pub name: String,
    pub provider: Option<CloudProvider>,
    /// The plan; derived if absent.
    pub plan: Option<Plan>,
    /// The plan of a `serverless` block without a plan and limits; STANDARD if absent.
    pub default_plan: Option<Plan>,
    /// The configuration of a BASIC or STANDARD cluster.
    pub serverless: Option<NewServerless>,
    /// The configuration of an ADVANCED cluster.
    pub dedicated: Option<NewDedicated>,
    pub labels: BTreeMap<String, String>,
    /// The folder, which is known to exist; `None` for the root.
    pub parent: Option<FolderId>,
    pub delete_protection: Option<DeleteProtection>,
    /// When the cluster is deleted; `None` if it is kept.
    pub expires_at: Option<Timestamp>,
    /// Whether the request contains an account of the customer's own cloud.
    pub customer_cloud_account: bool,
}

/// The `serverless` block of a request.
#[derive(Clone, Debug, Default)]
pub struct NewServerless {
    pub regions: Vec<String>,
    /// The primary region; empty if there is only one region.
    pub primary_region: String,
    pub limits: UsageLimits,
    /// Whether major upgrades are manual or automatic.
    pub upgrade_type: Option<UpgradeType>,
    /// Whether the allowlist is initially empty, so that no network has access.
    pub empty_allowlist: bool,
}

/// The `dedicated` block of a request.
#[derive(Clone, Debug, Default)]
pub struct NewDedicated {
    /// The number of nodes by region.
    pub region_nodes: BTreeMap<String, i64>,
    /// The machine, by type or number of vCPUs.
    pub machine: MachineSpec,
    /// The machines by region.
    pub region_machines: BTreeMap<String, MachineSpec>,
    /// The storage of a node in GiB; 0 for the minimum.
    pub storage_gib: i64,
    /// The disk operations per second; 0 for the default.
    pub disk_iops: i64,
    /// The major version; the default version if absent.
    pub version: Option<String>,
    /// The CIDR range of the network.
    pub cidr_range: String,
    pub network_visibility: Option<NetworkVisibility>,
    /// Whether all egress traffic is initially denied.
    pub restrict_egress: bool,
}

/// A machine, by type or number of vCPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineSpec {
    pub machine_type: Option<String>,
    pub virtual_cpus: Option<i64>,
}

impl MachineSpec {
    pub(super) fn resolve(&self, provider: CloudProvider) -> Result<catalog::Machine> {
        match (&self.machine_type, self.virtual_cpus) {
            (Some(name), None) => catalog::machine_by_type(provider, name),
            (None, Some(cpus)) => catalog::machine_by_cpus(provider, cpus),
            _ => Err(Error::invalid(
                "dedicated.hardware.machine_spec",
                "must have exactly one of machine_type and num_virtual_cpus",
            )),
        }
    }
}

/// The generated values of a new cluster, and its creator.
#[derive(Clone, Copy, Debug)]
pub struct Birth {
    pub id: ClusterId,
    /// The number in the routing ID.
    pub tenant: u32,
    pub organization: OrganizationId,
    pub creator: PrincipalId,
    /// The current time.
    pub now: Timestamp,
}

/// Creates a cluster in state CREATING. Also returns whether its allowlist is initially open to all networks.
///
/// `engine_major` returns the engine version that runs a catalog version on this machine, or the reason why
/// none does.
pub fn create(
    request: NewCluster,
    birth: Birth,
    catalog: &Catalog,
    engine_major: impl Fn(&catalog::Version) -> Result<String>,
) -> Result<(Cluster, bool)> {
    names::cluster(&request.name, NAME_MAX)?;
    let provider = request.provider.ok_or_else(|| Error::invalid("provider", "is required"))?;
    check_labels(&request.labels)?;
    if request.customer_cloud_account {
        return Err(not_implemented("customer_cloud_account"));
    }
    check_expiry(&request, birth.now)?;
    let shape = Shape::of(&request)?;
    let plan = shape.plan();
    if plan != Plan::Advanced && provider == CloudProvider::Azure {
        return Err(Error::invalid("provider", format!("AZURE is not available for plan {plan}")));
    }
    let open = matches!(&shape, Shape::Serverless(_, block) if !block.empty_allowlist);
    let mut cluster = Cluster {
        id: birth.id,
        organization: birth.organization,
        tenant: birth.tenant,
        provider,
        plan,
        state: ClusterState::Creating,
        creator: birth.creator,
        created_at: birth.now,
        updated_at: birth.now,
        deleted_at: None,
        version: catalog.default_version.clone(),
        full_version: String::new(),
        engine_major: String::new(),
        regions: Vec::new(),
        config: Config::Serverless { upgrade_type: UpgradeType::Automatic, limits: UsageLimits::default() },
        labels: request.labels.clone(),
        parent: request.parent,
        delete_protection: request.delete_protection.unwrap_or(DeleteProtection::Disabled),
        expires_at: request.expires_at,
        network_visibility: None,
        cidr_range: String::new(),
        left_standard_at: None,
        lowered_cpus_at: Vec::new(),
        backup: None,
        maintenance_window: None,
        version_deferral: None,
        generation: 1,
        epoch: 0,
        nodes: Vec::new(),
        last_node: 0,
        leadership: Leadership::default(),
        quorum: None,
        next_quorum: None,
        operation: None,
        restore: None,
        power: Power::On,
        removed: false,
        observed: ObservedCluster::default(),
        name: request.name.clone(),
    };
    match shape {
        Shape::Serverless(plan, block) => serverless(&mut cluster, plan, block, catalog)?,
        Shape::Dedicated(block) => dedicated(&mut cluster, block, catalog)?,
    }
    let version =
        catalog.version(&cluster.version).filter(|v| v.support_status != SupportStatus::Unsupported);
    let version = version.ok_or_else(|| {
        let rule = format!(
            "{:?} is not a supported major version; see GET /api/v1/cluster-versions",
            cluster.version
        );
        Error::invalid("dedicated.cockroach_version", rule)
    })?;
    cluster.full_version.clone_from(&version.full_version);
    cluster.engine_major = engine_major(version)?;
    Ok((cluster, open))
}

fn check_expiry(request: &NewCluster, now: Timestamp) -> Result<()> {
    let Some(expires_at) = request.expires_at else { return Ok(()) };
    if expires_at <= now {
        return Err(Error::invalid("expires_at", "must be in the future"));
    }
    match request.delete_protection {
        Some(DeleteProtection::Enabled) => {
            Err(Error::invalid("expires_at", "can't be combined with delete_protection ENABLED"))
        }
        Some(DeleteProtection::Disabled) | None => Ok(()),
    }
}

enum Shape<'a> {
    Serverless(Plan, &'a NewServerless),
    Dedicated(&'a NewDedicated),
}

impl<'a> Shape<'a> {
    fn of(request: &'a NewCluster) -> Result<Self> {
        match (&request.serverless, &request.dedicated, request.plan) {
            (Some(_), Some(_), _) => {
                Err(Error::invalid("spec", "must not have both serverless and dedicated"))
            }
            (None, None, _) => Err(Error::invalid("spec", "must have either serverless or dedicated")),
            (None, Some(block), None | Some(Plan::Advanced)) => Ok(Self::Dedicated(block)),
            (None, Some(_), Some(plan)) => Err(Error::invalid(
                "plan",
                format!("{plan} requires spec.serverless instead of spec.dedicated"),
            )),
            (Some(_), None, Some(Plan::Advanced)) => {
                Err(Error::invalid("plan", "ADVANCED requires spec.dedicated instead of spec.serverless"))
            }
            (Some(block), None, Some(plan)) => Ok(Self::Serverless(plan, block)),
            (Some(block), None, None) => {
                let default = request.default_plan.unwrap_or(Plan::Standard);
                Ok(Self::Serverless(derived_plan(&block.limits, default), block))
            }
        }
    }

    fn plan(&self) -> Plan {
        match self {
            Shape::Serverless(plan, _) => *plan,
            Shape::Dedicated(_) => Plan::Advanced,
        }
    }
}

/// Derives the plan of a serverless cluster without one from its limits, if it has any.
fn derived_plan(limits: &UsageLimits, default: Plan) -> Plan {
    if limits.virtual_cpus.is_some() {
        Plan::Standard
    } else if limits.request_units.is_some() || limits.storage_mib.is_some() {
        Plan::Basic
    } else {
        default
    }
}

fn serverless(cluster: &mut Cluster, plan: Plan, block: &NewServerless, catalog: &Catalog) -> Result<()> {
    check_limits(plan, &block.limits)?;
    let upgrade_type = block.upgrade_type.unwrap_or(UpgradeType::Automatic);
    check_upgrade_type(plan, upgrade_type)?;
    cluster.regions =
        serverless_regions(cluster.provider, plan, &block.regions, &block.primary_region, catalog)?;
    cluster.config = Config::Serverless { upgrade_type, limits: block.limits };
    Ok(())
}

fn dedicated(cluster: &mut Cluster, block: &NewDedicated, catalog: &Catalog) -> Result<()> {
    let provider = cluster.provider;
    if block.restrict_egress {
        return Err(not_implemented("dedicated.restrict_egress_traffic"));
    }
    cluster.regions = dedicated_regions(provider, &block.region_nodes, catalog)?;
    let region = block.region_nodes.keys().next();
    let machine = match region.and_then(|region| block.region_machines.get(region)) {
        Some(spec) => spec.resolve(provider)?,
        None => block.machine.resolve(provider)?,
    };
    let storage_gib = check_storage(block.storage_gib, machine.virtual_cpus)?;
    if !block.cidr_range.is_empty() {
        check_cidr(provider, &block.cidr_range)?;
        cluster.cidr_range.clone_from(&block.cidr_range);
    } else if provider == CloudProvider::Gcp {
        cluster.cidr_range = "172.28.0.0/14".to_owned();
    }
    if let Some(version) = &block.version {
        cluster.version.clone_from(version);
    }
    cluster.network_visibility = Some(block.network_visibility.unwrap_or(NetworkVisibility::Public));
    if node_count(&cluster.regions) > 1 {
        let placed = place(&cluster.regions, &[], 0);
        (cluster.nodes, cluster.last_node) = (placed.nodes, placed.last_node);
    }
    cluster.config = Config::Dedicated {
        machine_type: machine.machine_type,
        virtual_cpus: machine.virtual_cpus,
        memory_gib: machine.memory_gib,
        storage_gib,
        disk_iops: check_iops(provider, block.disk_iops, storage_gib)?,
    };
    Ok(())
}

/// Checks the regions of an ADVANCED cluster and how many nodes each of them has.
pub(super) fn dedicated_regions(
    provider: CloudProvider,
    region_nodes: &BTreeMap<String, i64>,
    catalog: &Catalog,
) -> Result<Vec<ClusterRegion>> {
    let rule = |rule: &str| Error::invalid(REGION_NODES, rule);
    if region_nodes.is_empty() || region_nodes.values().any(|nodes| *nodes < 1) {
        return Err(rule("must contain a region with at least one node"));
    }
    for region in region_nodes.keys() {
        catalog.check_region(REGION_NODES, provider, Plan::Advanced, region)?;
    }
    let is_single = region_nodes.len() == 1 && region_nodes.values().all(|nodes| *nodes == 1);
    if is_single && provider == CloudProvider::Azure {
        return Err(rule("must be at least 3 on AZURE"));
    }
    if !is_single && region_nodes.values().any(|nodes| *nodes < 3) {
        return Err(rule("must be 1 node in one region, or at least 3 nodes in each region"));
    }
    let region = |(name, nodes): (&String, &i64)| {
        let nodes = u32::try_from(*nodes).map_err(|_| rule("has too many nodes"))?;
        Ok(ClusterRegion { name: name.clone(), nodes, primary: false })
    };
    region_nodes.iter().map(region).collect()
}

/// The number of nodes in all regions.
pub(super) fn node_count(regions: &[ClusterRegion]) -> u64 {
    regions.iter().map(|region| u64::from(region.nodes)).sum()
}

/// Checks that this machine can run as many nodes as `after` has, unless the cluster had as many before. `unavailable` is
/// the reason why it can run only one.
pub fn check_capacity(
    before: Option<&Cluster>,
    after: &Cluster,
    max_nodes: u32,
    unavailable: Option<&str>,
) -> Result<()> {
    let nodes = node_count(&after.regions);
    if nodes <= before.map_or(1, |before| node_count(&before.regions)).max(1) {
        return Ok(());
    }
    if let Some(reason) = unavailable {
        return Err(Error::invalid(REGION_NODES, format!("more than one node is not supported: {reason}")));
    }
    if nodes > u64::from(max_nodes) {
        let rule = format!("at most {max_nodes} nodes are supported on this machine");
        return Err(Error::invalid(REGION_NODES, rule));
    }
    Ok(())
}

pub(super) fn not_implemented(what: &str) -> Error {
    Error::new(ErrorKind::Unimplemented, format!("{what} is not implemented yet"))
}

pub(super) fn check_storage(storage_gib: i64, cpus: u32) -> Result<u32> {
    let max = cpus * 320;
    let wanted = if storage_gib == 0 { i64::from(catalog::MIN_STORAGE_GIB) } else { storage_gib };
    let fits = u32::try_from(wanted).ok().filter(|gib| (catalog::MIN_STORAGE_GIB..=max).contains(gib));
    fits.ok_or_else(|| {
        let rule = format!("must be 0 or from {} to {max} with {cpus} vCPUs", catalog::MIN_STORAGE_GIB);
        Error::invalid("dedicated.hardware.storage_gib", rule)
    })
}

pub(super) fn check_iops(provider: CloudProvider, iops: i64, storage_gib: u32) -> Result<u32> {
    let wanted = u32::try_from(iops)
        .map_err(|_| Error::invalid("dedicated.hardware.disk_iops", "must not be negative"))?;
    let honoured = wanted > 0 && provider == CloudProvider::Aws;
    Ok(if honoured { wanted } else { catalog::default_iops(provider, storage_gib) })
}

fn check_cidr(provider: CloudProvider, range: &str) -> Result<()> {
    let rule = |rule: &str| Error::invalid("dedicated.cidr_range", rule);
    if provider != CloudProvider::Gcp {
        return Err(rule("is supported on GCP only"));
    }
    let network: ipnet::Ipv4Net =
        range.parse().map_err(|_| rule("must be an IPv4 network such as 172.28.0.0/14"))?;
    if network.prefix_len() > 19 { Err(rule("must have a mask of at most 19")) } else { Ok(()) }
}

/// Every limit must be positive, and each limit is valid for one plan only. STANDARD requires vCPUs: a default
/// would be a limit that the client did not set, which Terraform takes for an error.
pub(super) fn check_limits(plan: Plan, limits: &UsageLimits) -> Result<()> {
    const PLACE: &str = "serverless.usage_limits";
    let field = |name: &str| format!("{PLACE}.{name}");
    let positive = |name: &str, value: Option<i64>| match value {
        Some(value) if value <= 0 => Err(Error::invalid(&field(name), "must be greater than zero")),
        _ => Ok(()),
    };
    positive("request_unit_limit", limits.request_units)?;
    positive("storage_mib_limit", limits.storage_mib)?;
    positive("provisioned_virtual_cpus", limits.virtual_cpus)?;
    match plan {
        Plan::Standard => {
            if limits.request_units.is_some() || limits.storage_mib.is_some() {
                return Err(Error::invalid(
                    PLACE,
                    "request_unit_limit and storage_mib_limit are only valid for plan BASIC",
                ));
            }
            let rule = match limits.virtual_cpus {
                Some(2..=200) => return Ok(()),
                Some(_) => "must be from 2 to 200 on plan STANDARD",
                None => "is required on plan STANDARD; it must be from 2 to 200",
            };
            Err(Error::invalid(&field("provisioned_virtual_cpus"), rule))
        }
        _ if limits.virtual_cpus.is_some() => {
            Err(Error::invalid(&field("provisioned_virtual_cpus"), "is only valid for plan STANDARD"))
        }
        _ => Ok(()),
    }
}

pub(super) fn check_upgrade_type(plan: Plan, upgrade_type: UpgradeType) -> Result<()> {
    if plan == Plan::Basic && upgrade_type == UpgradeType::Manual {
        return Err(Error::invalid(
            "serverless.upgrade_type",
            "plan type BASIC does not allow upgrade_type MANUAL",
        ));
    }
    Ok(())
}

/// Checks the regions of a BASIC or STANDARD cluster and sorts them.
pub(super) fn serverless_regions(
    provider: CloudProvider,
    plan: Plan,
    names: &[String],
    primary: &str,
    catalog: &Catalog,
) -> Result<Vec<ClusterRegion>> {
    const FIELD: &str = "serverless.regions";
    let mut sorted = names.to_vec();
    sorted.sort();
    sorted.dedup();
    if sorted.len() != names.len() {
        return Err(Error::invalid(FIELD, "must not contain a region twice"));
    }
    if !(1..=6).contains(&sorted.len()) {
        return Err(Error::invalid(FIELD, "must contain 1 to 6 regions"));
    }
    for name in &sorted {
        catalog.check_region(FIELD, provider, plan, name)?;
    }
    if sorted.len() > 1 && primary.is_empty() {
        return Err(Error::invalid("serverless.primary_region", "is required with more than one region"));
    }
    if !primary.is_empty() && !sorted.iter().any(|name| name == primary) {
        return Err(Error::invalid("serverless.primary_region", "must be one of serverless.regions"));
    }
    let several = sorted.len() > 1;
    Ok(sorted
        .into_iter()
        .map(|name| ClusterRegion { primary: several && name == primary, name, nodes: 0 })
        .collect())
}
