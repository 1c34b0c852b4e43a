//! Converts between the wire types and the model.

use crate::{
    context::Context,
    documents,
    metering::{Metering, usage},
};
use ootheca_api::wire::*;
use ootheca_model::{
    Cluster as Model, Error, ErrorKind, Grant, Plan, Resource as Held, Result,
    catalog::{Region as CatalogRegion, Version},
    cluster::{
        CloudProvider, Config, NodeStatus, OperatingSystem, ResourceType, UsageLimits as Limits,
        create::{MachineSpec, NewCluster, NewDedicated, NewServerless},
        patch::{ClusterPatch, PatchDedicated, PatchServerless},
    },
    folder::{parse_parent, show_parent},
    hex,
    instance::{self, Node as Process},
    meter::Meter,
    node::NodeSpec,
    sql_name,
};
use ootheca_store::{Kind, Query};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

/// Characters that are encoded in a connection string: all that are not unreserved in RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A required member of a request.
pub fn required<T>(field: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::invalid(field, "is required"))
}

/// Converts a request for a new cluster.
pub fn new_cluster(request: CreateClusterRequest) -> Result<NewCluster> {
    let spec = required("spec", request.spec)?;
    // This is checked in every version. Otherwise the member would be ignored, and a request for an edition
    // would create a plan. The Terraform provider recognizes the refusal by this message.
    if spec.edition.is_some() {
        let message = "the requested edition is not enabled for this organization";
        return Err(Error::new(ErrorKind::Denied, message));
    }
    Ok(NewCluster {
        name: required("name", request.name)?,
        provider: request.provider,
        plan: spec.plan,
        default_plan: None,
        serverless: spec.serverless.map(|block| NewServerless {
            regions: block.regions.unwrap_or_default(),
            primary_region: block.primary_region.unwrap_or_default(),
            limits: block.usage_limits.map(limits).unwrap_or_default(),
            upgrade_type: block.upgrade_type,
            empty_allowlist: block.with_empty_ip_allowlist.unwrap_or(false),
        }),
        dedicated: spec.dedicated.map(new_dedicated),
        labels: spec.labels.unwrap_or_default(),
        parent: parse_parent(spec.parent_id.as_deref().unwrap_or_default())?,
        delete_protection: spec.delete_protection,
        expires_at: request.expires_at,
        customer_cloud_account: spec.customer_cloud_account.is_some(),
    })
}

/// Converts a request for a clone that has the specification of its source.
pub fn unspecified_cluster(request: CreateClusterRequest) -> Result<NewCluster> {
    let name = required("name", request.name)?;
    Ok(NewCluster { name, expires_at: request.expires_at, ..NewCluster::default() })
}

fn new_dedicated(block: DedicatedClusterCreateSpecification) -> NewDedicated {
    let hardware = block.hardware.unwrap_or_default();
    NewDedicated {
        region_nodes: nodes(block.region_nodes.unwrap_or_default()),
        machine: hardware.machine_spec.map(machine).unwrap_or_default(),
        region_machines: machines(block.region_machine_specs),
        storage_gib: hardware.storage_gib.map_or(0, i64::from),
        disk_iops: hardware.disk_iops.map_or(0, i64::from),
        version: block.cockroach_version,
        cidr_range: block.cidr_range.unwrap_or_default(),
        network_visibility: block.network_visibility,
        restrict_egress: block.restrict_egress_traffic.unwrap_or(false),
    }
}

/// Converts a request to change a cluster.
pub fn cluster_patch(request: UpdateClusterRequest) -> Result<ClusterPatch> {
    Ok(ClusterPatch {
        plan: request.plan,
        serverless: request.serverless.map(|block| PatchServerless {
            regions: block.regions,
            primary_region: block.primary_region,
            limits: block.usage_limits.map(limits),
            upgrade_type: block.upgrade_type,
        }),
        dedicated: request.dedicated.map(|block| {
            let hardware = block.hardware.unwrap_or_default();
            PatchDedicated {
                region_nodes: block.region_nodes.map(nodes),
                machine: hardware.machine_spec.map(machine),
                region_machines: machines(block.region_machine_specs),
                storage_gib: hardware.storage_gib.map(i64::from),
                disk_iops: hardware.disk_iops.map(i64::from),
                cmek_region_specs: block.cmek_region_specs.is_some_and(|specs| !specs.is_empty()),
            }
        }),
        labels: request.labels,
        parent: request.parent_id.as_deref().map(parse_parent).transpose()?,
        delete_protection: request.delete_protection,
        cockroach_version: request.cockroach_version,
        upgrade_status: request.upgrade_status,
    })
}

fn limits(limits: UsageLimits) -> Limits {
    Limits {
        request_units: limits.request_unit_limit.map(|n| n.0),
        storage_mib: limits.storage_mib_limit.map(|n| n.0),
        virtual_cpus: limits.provisioned_virtual_cpus.map(|n| n.0),
    }
}

fn nodes(nodes: BTreeMap<String, i32>) -> BTreeMap<String, i64> {
    nodes.into_iter().map(|(region, count)| (region, i64::from(count))).collect()
}

fn machine(spec: DedicatedMachineTypeSpecification) -> MachineSpec {
    MachineSpec { machine_type: spec.machine_type, virtual_cpus: spec.num_virtual_cpus.map(i64::from) }
}

fn machines(
    specs: Option<BTreeMap<String, DedicatedMachineTypeSpecification>>,
) -> BTreeMap<String, MachineSpec> {
    specs.unwrap_or_default().into_iter().map(|(region, spec)| (region, machine(spec))).collect()
}

/// A cluster in the format of the API.
pub async fn cluster(metering: &Metering, cluster: &Model) -> Result<Cluster> {
    let meter = metering.meter(cluster.id).await?;
    Ok(metered(metering, cluster, meter.as_ref().map(|meter| &meter.value)))
}

/// The clusters of a list, with one read of the store for all their meters.
pub async fn clusters(metering: &Metering, clusters: &[Model]) -> Result<Vec<Cluster>> {
    let ids = clusters.iter().map(|cluster| cluster.id.to_string()).collect();
    let rows = metering.context.store.list(&Query { ids: Some(ids), ..Query::all(Kind::Meter) }).await?;
    let meters = rows.into_iter().map(documents::decode::<Meter>);
    let meters = meters.map(|meter| meter.map(|meter| (meter.row.id, meter.value)));
    let meters = meters.collect::<Result<HashMap<String, Meter>>>()?;
    Ok(clusters
        .iter()
        .map(|cluster| metered(metering, cluster, meters.get(&cluster.id.to_string())))
        .collect())
}

fn metered(metering: &Metering, cluster: &Model, meter: Option<&Meter>) -> Cluster {
    let host = sql_host(&metering.context, cluster);
    let config = match &cluster.config {
        Config::Serverless { upgrade_type, limits } => ClusterConfig {
            serverless: Some(ServerlessClusterConfig {
                routing_id: cluster.routing_id(),
                upgrade_type: *upgrade_type,
                usage_limits: (!limits.is_empty()).then(|| UsageLimits {
                    request_unit_limit: limits.request_units.map(Int64),
                    storage_mib_limit: limits.storage_mib.map(Int64),
                    provisioned_virtual_cpus: limits.virtual_cpus.map(Int64),
                }),
            }),
            dedicated: None,
        },
        Config::Dedicated { machine_type, virtual_cpus, memory_gib, storage_gib, disk_iops } => {
            ClusterConfig {
                serverless: None,
                dedicated: Some(DedicatedHardwareConfig {
                    machine_type: machine_type.clone(),
                    num_virtual_cpus: int32(*virtual_cpus),
                    storage_gib: int32(*storage_gib),
                    memory_gib: *memory_gib,
                    disk_iops: int32(*disk_iops),
                }),
            }
        }
    };
    let several = cluster.regions.iter().any(|region| region.primary);
    let hardware = config.dedicated.as_ref();
    let on_aws = hardware.filter(|_| cluster.provider == CloudProvider::Aws);
    let regions = cluster.regions.iter().map(|region| Region {
        name: region.name.clone(),
        sql_dns: host.clone(),
        ui_dns: String::new(),
        internal_dns: host.clone(),
        private_endpoint_dns: host.clone(),
        node_count: int32(region.nodes),
        primary: several.then_some(region.primary),
        s3_vpc_endpoint_id: on_aws.map(|_| s3_vpc_endpoint_id(cluster, &region.name)),
        machine_type: hardware.map(|hardware| hardware.machine_type.clone()),
        num_virtual_cpus: hardware.map(|hardware| hardware.num_virtual_cpus),
        disk_iops: on_aws.map(|hardware| hardware.disk_iops),
    });
    let regions = regions.collect();
    Cluster {
        id: cluster.id.to_string(),
        name: cluster.name.clone(),
        cockroach_version: cluster.full_version.clone(),
        upgrade_status: cluster.upgrade_status(metering.context.catalog()),
        plan: cluster.plan,
        cloud_provider: cluster.provider,
        account_id: String::new(),
        state: cluster.state,
        creator_id: cluster.creator.to_string(),
        operation_status: cluster.operation_status(),
        config,
        regions,
        created_at: Some(cluster.created_at),
        updated_at: Some(cluster.updated_at),
        deleted_at: cluster.deleted_at,
        sql_dns: host.clone(),
        network_visibility: cluster.network_visibility,
        cidr_range: cluster.cidr_range.clone(),
        labels: cluster.labels.clone(),
        parent_id: show_parent(cluster.parent),
        delete_protection: cluster.delete_protection,
        expires_at: cluster.expires_at,
        ootheca: usage::extension(metering, cluster, meter),
        ..Cluster::default()
    }
}

/// A stable ID in the format of AWS. There is no such endpoint.
fn s3_vpc_endpoint_id(cluster: &Model, region: &str) -> String {
    let digest = hex::encode(&Sha256::digest(format!("{}/{region}", cluster.id)));
    format!("vpce-{}", &digest[..17])
}

fn int32(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A node of a cluster. `observed` is what its engine reports of it.
pub fn node(cluster: &Model, spec: &NodeSpec, observed: Option<&Process>) -> Node {
    let is_live = observed.is_some_and(|node| node.live);
    let role = match observed.map(|node| node.role) {
        Some(instance::NodeRole::Primary) => NodeRole::Primary,
        Some(instance::NodeRole::Standby) => NodeRole::Standby,
        Some(instance::NodeRole::None) | None => NodeRole::None,
    };
    let lag = observed.and_then(|node| node.lag_bytes);
    Node {
        name: format!("{}-{}", cluster.routing_id(), spec.id),
        region_name: spec.region.clone(),
        status: if is_live { NodeStatus::Live } else { NodeStatus::NotReady },
        ootheca: NodeExtension {
            role,
            zone: spec.zone.clone(),
            lag_bytes: lag.and_then(|lag| i64::try_from(lag).ok()).map(Int64),
            version: if is_live { cluster.observed.engine.clone() } else { String::new() },
        },
    }
}

/// A region of the catalog. Distances are unknown, because all regions are on this machine.
pub fn region(region: &CatalogRegion) -> CloudProviderRegion {
    CloudProviderRegion {
        name: region.name.clone(),
        location: region.location.clone(),
        provider: region.provider,
        serverless: region.serverless,
        distance: 0.0,
    }
}

/// A version of the catalog.
pub fn version(version: &Version) -> ClusterMajorVersion {
    ClusterMajorVersion {
        version: version.version.clone(),
        release_type: version.release_type,
        support_status: version.support_status,
        support_end: version.support_end,
        allowed_upgrades: version.allowed_upgrades.clone(),
    }
}

/// A role grant in the format of the API.
pub fn grant(grant: &Grant) -> BuiltInRole {
    let resource = match grant.resource {
        Held::Organization => Resource { id: None, r#type: ResourceType::Organization },
        Held::Folder(id) => Resource { id: Some(id.to_string()), r#type: ResourceType::Folder },
        Held::Cluster(id) => Resource { id: Some(id.to_string()), r#type: ResourceType::Cluster },
    };
    BuiltInRole { name: grant.role, resource }
}

/// The host name under which SQL clients reach a cluster.
fn sql_host(context: &Context, cluster: &Model) -> String {
    let gateway = &context.settings.gateway;
    if gateway.domain.is_empty() {
        gateway.host.clone()
    } else {
        format!("{}.{}", cluster.routing_id(), gateway.domain)
    }
}

/// A connection string. Without a configured domain, all clusters have the same host name, so the string
/// names the cluster in `options`. The gateway can take the part of a database name before the first dot for a
/// routing ID, so the routing ID precedes such a name.
pub fn connection_string(
    context: &Context,
    cluster: &Model,
    query: ConnectionStringQuery,
) -> GetConnectionStringResponse {
    let host = sql_host(context, cluster);
    let database = query.database.filter(|name| !name.is_empty()).unwrap_or_else(|| "defaultdb".to_owned());
    let user = query.sql_user.filter(|name| !name.is_empty());
    let login = user.as_ref().map(|user| format!("{}@", percent(user))).unwrap_or_default();
    let prefix = if database.contains('.') { format!("{}.", cluster.routing_id()) } else { String::new() };
    let mut text = format!(
        "postgresql://{login}{host}:{}/{prefix}{}?sslmode=verify-full",
        context.sql_port(),
        percent(&database)
    );
    if cluster.plan == Plan::Advanced {
        let file = format!("{}-ca.crt", cluster.name);
        let path = match query.os.unwrap_or(OperatingSystem::Linux) {
            OperatingSystem::Windows => format!("$env:appdata\\CockroachCloud\\certs\\{file}"),
            OperatingSystem::Mac | OperatingSystem::Linux => {
                format!("$HOME/Library/CockroachCloud/certs/{file}")
            }
        };
        text.push_str(&format!("&sslrootcert={path}"));
    }
    if context.settings.gateway.domain.is_empty() {
        text.push_str(&format!("&options=--cluster%3D{}", cluster.routing_id()));
    }
    let params =
        ConnectionStringParameters { host, port: context.sql_port().to_string(), database, username: user };
    GetConnectionStringResponse { connection_string: text, params }
}

/// A name, percent-encoded for a connection string: the bytes that `name` stands for, or the text itself if
/// it does not stand for bytes.
fn percent(name: &str) -> String {
    let bytes = sql_name::parse(name).unwrap_or_else(|| name.as_bytes().to_vec());
    percent_encode(&bytes, ENCODED).to_string()
}
