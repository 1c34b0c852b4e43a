//! Clusters: handlers write the desired state and return the current state. The reconciler does the work.

use crate::{
    api::{
        call::{Attempt, Call},
        convert::{self, required},
        decision::{Decision, Later, Reply},
        handlers::{clones, paging, roles},
        hierarchy,
    },
    context::Context,
    documents,
    ids::{fresh_id, fresh_tenant},
    lifecycle::deletion::deletion,
    metering::Metering,
};
use ootheca_api::wire::*;
use ootheca_model::{
    AllowlistEntry, Cluster as Model, ClusterId, ClusterState, Error, Grant, Plan, Resource, Result, Role,
    catalog::Version,
    cluster::{
        ClusterSortBy,
        create::{self, Birth},
        patch,
    },
    identity::Visible,
    instance::Power,
};
use ootheca_store::{Batch, Kind, Mutation, Order, Query};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// `GET /clusters`
pub async fn list_clusters(call: Arc<Call>, query: ListClustersQuery) -> Result<ListClustersResponse> {
    let (ids, parents, everything) = match call.granted.visible() {
        Visible::All => (None, Vec::new(), true),
        Visible::Only(reach) => {
            let ids = reach.clusters.iter().map(ClusterId::to_string).collect();
            (Some(ids), hierarchy::subtrees(&call, &reach.folders).await?, false)
        }
    };
    let inactive = query.show_inactive.unwrap_or(false) && everything;
    let order = match query.sort_by.unwrap_or(ClusterSortBy::Name) {
        ClusterSortBy::Name => Order::SortKey,
        ClusterSortBy::CreatedAt => Order::CreatedAt,
        ClusterSortBy::DeletedAt => Order::EndedAt,
    };
    let rows = Query { ids, parents, active_only: !inactive, order, ..Query::all(Kind::Cluster) };
    let (rows, pagination) = paging::rows(&call, &query.page, rows).await?;
    let found = rows.into_iter().map(|row| Ok(documents::decode::<Model>(row)?.value));
    let clusters = convert::clusters(&call.metering, &found.collect::<Result<Vec<_>>>()?).await?;
    Ok(ListClustersResponse { clusters, pagination })
}

/// `GET /clusters/{cluster_id}`. Deleted clusters are included.
pub async fn get_cluster(call: Arc<Call>, _path: ClusterPath) -> Result<Cluster> {
    let id = call.granted.cluster().ok_or_else(|| Error::not_found("cluster"))?;
    let found = call.context.find::<Model>(&id.to_string()).await?;
    let found = found.filter(|found| found.row.organization == call.granted.organization());
    let found = found.ok_or_else(|| Error::not_found("cluster"))?;
    convert::cluster(&call.metering, &found.value).await
}

/// `POST /clusters`
pub async fn create_cluster(call: Arc<Call>, mut body: CreateClusterRequest) -> Result<Decision<Cluster>> {
    let (context, metering) = (&call.context, &call.metering);
    let principal = call.granted.principal();
    let birth = Birth {
        id: ClusterId(fresh_id()),
        tenant: fresh_tenant(),
        organization: principal.organization,
        creator: principal.id,
        now: context.now(),
    };
    context.disk.check()?;
    let from = body.restore_from.take();
    let is_specified = from.is_none() || body.provider.is_some() || body.spec.is_some();
    let mut request =
        if is_specified { convert::new_cluster(body)? } else { convert::unspecified_cluster(body)? };
    let guard =
        hierarchy::authorize_parent(&call, request.parent, &[Role::ClusterAdmin, Role::ClusterCreator])
            .await?;
    let data = match from {
        Some(from) => Some(clones::Data::named(&call, from).await?),
        None => None,
    };
    if let Some(data) = data.as_ref().filter(|_| !is_specified) {
        request = data.specify(request);
    }
    // The official clients expect that `serverless: {}` creates a BASIC cluster.
    request.default_plan = Some(Plan::Basic);
    let explicit_version = request.dedicated.as_ref().is_some_and(|block| block.version.is_some());
    let engine_major = |version: &Version| match &data {
        Some(data) if !explicit_version => Ok(data.engine_major()),
        _ => context.engine_major(version),
    };
    let (cluster, open) = create::create(request, birth, context.catalog(), engine_major)?;
    check_capacity(context, None, &cluster)?;
    let (cluster, mutations) = match &data {
        Some(data) => data.begin(cluster, explicit_version, birth.now)?,
        None => {
            let inserted = documents::insert(&cluster)?;
            (cluster, vec![inserted])
        }
    };
    let mut batch = Batch { mutations, ..Batch::by(&call.granted) };
    if open {
        batch = batch.with(documents::insert(&open_entry(&cluster)?)?);
    }
    batch.mutations.extend(guard);
    batch.mutations.extend(creator_grant(&call, &cluster).await?);
    let reply = match call.attempt {
        Attempt::DryRun => Reply::Ready(convert::cluster(metering, &cluster).await?),
        _ => Reply::Pending(settled(metering.clone(), cluster.id, wait_for(context, &cluster))),
    };
    Ok(Decision::new(batch, reply).cluster(&cluster))
}

/// `PATCH /clusters/{cluster_id}`
pub async fn update_cluster(
    call: Arc<Call>,
    _path: ClusterPath,
    body: UpdateClusterRequest,
) -> Result<Decision<Cluster>> {
    let (context, metering) = (&call.context, &call.metering);
    let before = call.cluster().await?;
    let wanted = convert::cluster_patch(body)?;
    let after = patch::patch(&before.value, &wanted, context.catalog(), context.now())?;
    check_capacity(context, Some(&before.value), &after)?;
    let action = patch::audit_action(&wanted, &before.value, &after);
    let mut batch = Batch::by(&call.granted).with(documents::update(&before.row, &after)?);
    if after.parent != before.value.parent {
        batch.mutations.extend(hierarchy::authorize_move(&call, before.value.parent, after.parent).await?);
    }
    let reply = match call.attempt {
        Attempt::DryRun => Reply::Ready(convert::cluster(metering, &after).await?),
        _ => Reply::Pending(settled(metering.clone(), after.id, created_wait(context))),
    };
    Ok(Decision::new(batch, reply).action(action))
}

/// `DELETE /clusters/{cluster_id}`
pub async fn delete_cluster(call: Arc<Call>, _path: ClusterPath) -> Result<Decision<Cluster>> {
    let (context, metering) = (&call.context, &call.metering);
    let before = call.cluster().await?;
    let (after, mutations) = deletion(&before, context.now())?;
    let batch = Batch { mutations, ..Batch::by(&call.granted) };
    Ok(Decision::now(batch, convert::cluster(metering, &after).await?))
}

/// `GET /clusters/{cluster_id}/nodes`: the nodes and their status, by region. A suspended cluster has none, nor a cluster
/// of one node without a server.
pub async fn list_cluster_nodes(
    call: Arc<Call>,
    _path: ClusterPath,
    query: ListClusterNodesQuery,
) -> Result<ListClusterNodesResponse> {
    let cluster = call.cluster().await?.value;
    let observed = call.context.engine.observe(cluster.id).await?;
    let wanted = query.region_name.filter(|name| !name.is_empty());
    let mut members = if cluster.power == Power::On { cluster.members() } else { Vec::new() };
    members.retain(|spec| wanted.as_ref().is_none_or(|name| *name == spec.region));
    let nodes: Vec<(u32, Node)> = members
        .iter()
        .map(|spec| (spec, observed.nodes.iter().find(|node| node.id == spec.id)))
        .filter(|(_, process)| process.is_some() || !cluster.nodes.is_empty())
        .map(|(spec, process)| (spec.id.0, convert::node(&cluster, spec, process)))
        .collect();
    // `n2` precedes `n10`.
    let key = |(number, node): &(u32, Node)| format!("{} {number:0>10}", node.region_name);
    let (nodes, pagination) = paging::slice(&call, &query.page, nodes, key)?;
    Ok(ListClusterNodesResponse { nodes: nodes.into_iter().map(|(_, node)| node).collect(), pagination })
}

/// `GET /clusters/available-regions`
pub async fn list_available_regions(
    call: Arc<Call>,
    query: ListAvailableRegionsQuery,
) -> Result<ListAvailableRegionsResponse> {
    let regions: Vec<CloudProviderRegion> = call
        .context
        .catalog()
        .regions
        .iter()
        .filter(|region| query.provider.is_none_or(|provider| provider == region.provider))
        .filter(|region| query.serverless.is_none_or(|serverless| serverless == region.serverless))
        .map(convert::region)
        .collect();
    // All regions are on this machine, so every distance is zero, and the list is ordered by name.
    let (regions, pagination) =
        paging::slice(&call, &query.page, regions, |region| format!("{} {}", region.name, region.provider))?;
    Ok(ListAvailableRegionsResponse { regions, pagination })
}

/// `GET /cluster-versions`
pub async fn list_major_cluster_versions(
    call: Arc<Call>,
    query: PageQuery,
) -> Result<ListMajorClusterVersionsResponse> {
    let catalog = call.context.catalog();
    let versions: Vec<ClusterMajorVersion> = catalog.versions.iter().map(convert::version).collect();
    let (versions, pagination) =
        paging::slice_descending(&call, &query, versions, |version| version_key(&version.version))?;
    Ok(ListMajorClusterVersionsResponse { versions, pagination })
}

/// `GET /clusters/{cluster_id}/connection-string`
pub async fn get_connection_string(
    call: Arc<Call>,
    _path: ClusterPath,
    query: ConnectionStringQuery,
) -> Result<GetConnectionStringResponse> {
    let found = call.cluster().await?;
    if found.value.plan == Plan::Advanced {
        required("os", query.os)?;
    }
    Ok(convert::connection_string(&call.context, &found.value, query))
}

/// Checks that the engine can run the nodes of a cluster that is created or changed.
fn check_capacity(context: &Context, before: Option<&Model>, after: &Model) -> Result<()> {
    let capabilities = context.engine.capabilities();
    let unavailable = capabilities.nodes_unavailable.as_deref();
    create::check_capacity(before, after, capabilities.max_nodes, unavailable)
}

/// A key that orders `v25.10` after `v25.9`.
fn version_key(version: &str) -> String {
    version.trim_start_matches('v').split('.').map(|part| format!("{part:0>4}.")).collect()
}

/// The allowlist entry of a new BASIC or STANDARD cluster, which allows all networks.
fn open_entry(cluster: &Model) -> Result<AllowlistEntry> {
    Ok(AllowlistEntry {
        organization: cluster.organization,
        cluster: cluster.id,
        network: ootheca_model::allowlist::network("0.0.0.0", 0)?,
        name: String::new(),
        sql: true,
        ui: false,
        created_at: cluster.created_at,
    })
}

/// A caller that creates a cluster without administering it already becomes its CLUSTER_ADMIN.
async fn creator_grant(call: &Call, cluster: &Model) -> Result<Option<Mutation>> {
    let principal = call.granted.principal();
    let resource = Resource::Cluster(cluster.id);
    let folders = hierarchy::ancestors(&call.context, cluster.organization, cluster.parent).await?;
    if principal.holds(&[Role::ClusterAdmin], resource, &folders) {
        return Ok(None);
    }
    let grant = Grant::new(Role::ClusterAdmin, resource)?;
    roles::also_holds(call, principal.id, grant).await.map(Some)
}

/// How long a request waits until a cluster is created.
fn created_wait(context: &Context) -> Duration {
    Duration::from_secs(context.settings.create_wait_seconds)
}

/// How long a request waits for a new cluster.
fn wait_for(context: &Context, cluster: &Model) -> Duration {
    if cluster.plan == Plan::Advanced { Duration::ZERO } else { created_wait(context) }
}

/// The encoded response to a change of a cluster that was interrupted while it waited.
pub async fn cluster_settled(metering: &Arc<Metering>, id: ClusterId) -> Result<Vec<u8>> {
    let cluster = settled(metering.clone(), id, created_wait(&metering.context)).await?;
    serde_json::to_vec(&cluster)
        .map_err(|error| Error::internal("could not encode a response").because(error))
}

/// The cluster when its state matches the desired state, or its state after `limit`.
fn settled(metering: Arc<Metering>, id: ClusterId, limit: Duration) -> Later<Cluster> {
    let mut hints = metering.context.store.changes();
    Box::pin(async move {
        let deadline = Instant::now() + limit;
        loop {
            let found = documents::find::<Model>(&*metering.context.store, &id.to_string()).await?;
            let cluster = found.ok_or_else(|| Error::not_found("cluster"))?.value;
            let moving = cluster.state == ClusterState::Creating
                || (cluster.state == ClusterState::Created
                    && cluster.observed.generation < cluster.generation);
            if !moving || Instant::now() >= deadline {
                return convert::cluster(&metering, &cluster).await;
            }
            // A hint can be lost, so the state is also polled.
            let id = id.to_string();
            let hint = async { while hints.recv().await.is_ok_and(|hint| hint.id != id) {} };
            let _ = tokio::time::timeout(Duration::from_millis(250), hint).await;
        }
    })
}
