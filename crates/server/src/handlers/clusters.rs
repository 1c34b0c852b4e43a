//! Clusters: intent in, what is known out. The reconciler does the work.

use super::{paging, required, roles};
use crate::{
    app::{App, fresh_id, fresh_tenant},
    call::{Attempt, Call},
    change::{Change, Later, Reply},
    places, render,
    rows::{self, active_cluster},
};
use ootheca_api::wire::*;
use ootheca_model::{
    AllowlistEntry, Cluster as Model, ClusterId, ClusterState, Error, Grant, Plan, Resource, Result, Role,
    cluster::{
        ClusterSortBy, DeleteProtection,
        create::{self, Birth},
        patch,
    },
    identity::Visible,
    instance::Power,
};
use ootheca_store::{Batch, Change as RowChange, Kind, Order, Query};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// `GET /clusters`
pub async fn list_clusters(
    call: Arc<Call>,
    _path: NoPath,
    query: ListClustersQuery,
    _body: NoBody,
) -> Result<ListClustersResponse> {
    let (ids, parents, everything) = match call.granted.visible() {
        Visible::All => (None, Vec::new(), true),
        Visible::Only(reach) => {
            let ids = reach.clusters.iter().map(ClusterId::to_string).collect();
            (Some(ids), places::subtrees(&call, &reach.folders).await?, false)
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
    let found = rows.into_iter().map(|row| Ok(rows::decode::<Model>(row)?.value));
    let clusters = render::clusters(&call.app, &found.collect::<Result<Vec<_>>>()?).await?;
    Ok(ListClustersResponse { clusters, pagination })
}

/// `GET /clusters/{cluster_id}`. A deleted cluster is still shown.
pub async fn get_cluster(
    call: Arc<Call>,
    _path: ClusterPath,
    _query: NoQuery,
    _body: NoBody,
) -> Result<Cluster> {
    let id = call.granted.cluster().ok_or_else(|| Error::not_found("cluster"))?;
    let found = call.app.find::<Model>(&id.to_string()).await?;
    let found = found.filter(|found| found.row.organization == call.granted.organization());
    let found = found.ok_or_else(|| Error::not_found("cluster"))?;
    render::cluster(&call.app, &found.value).await
}

/// `POST /clusters`
pub async fn create_cluster(
    call: Arc<Call>,
    _path: NoPath,
    _query: NoQuery,
    body: CreateClusterRequest,
) -> Result<Change<Cluster>> {
    let app = &call.app;
    let principal = call.granted.principal();
    let birth = Birth {
        id: ClusterId(fresh_id()),
        tenant: fresh_tenant(),
        organization: principal.organization,
        creator: principal.id,
        now: app.now(),
    };
    let mut request = render::new_cluster(body)?;
    let guard =
        places::destination(&call, request.parent, &[Role::ClusterAdmin, Role::ClusterCreator]).await?;
    // The official clients expect BASIC of `serverless: {}`.
    request.default_plan = Some(Plan::Basic);
    let (cluster, open) =
        create::create(request, birth, app.catalogue(), |version| app.engine_major(version))?;
    let mut batch = Batch::by(&call.granted).with(rows::insert(&cluster)?);
    if open {
        batch = batch.with(rows::insert(&open_entry(&cluster)?)?);
    }
    batch.changes.extend(guard);
    batch.changes.extend(creator_grant(&call, &cluster).await?);
    let reply = match call.attempt {
        Attempt::Rehearsal => Reply::Now(render::cluster(app, &cluster).await?),
        _ => Reply::After(settled(app.clone(), cluster.id, wait_for(app, &cluster))),
    };
    Ok(Change::new(batch, reply).cluster(&cluster))
}

/// `PATCH /clusters/{cluster_id}`
pub async fn update_cluster(
    call: Arc<Call>,
    _path: ClusterPath,
    _query: NoQuery,
    body: UpdateClusterRequest,
) -> Result<Change<Cluster>> {
    let app = &call.app;
    let before = active_cluster(&*app.store, call.granted.organization(), call.granted.cluster()).await?;
    let wanted = render::cluster_patch(body)?;
    let after = patch::patch(&before.value, &wanted, app.catalogue(), app.now())?;
    let action = patch::audit_action(&wanted, &before.value, &after);
    let mut batch = Batch::by(&call.granted).with(rows::update(&before.row, &after)?);
    if after.parent != before.value.parent {
        batch.changes.extend(places::moved(&call, before.value.parent, after.parent).await?);
    }
    let reply = match call.attempt {
        Attempt::Rehearsal => Reply::Now(render::cluster(app, &after).await?),
        _ => Reply::After(settled(app.clone(), after.id, created_wait(app))),
    };
    Ok(Change::new(batch, reply).action(action))
}

/// `DELETE /clusters/{cluster_id}`
pub async fn delete_cluster(
    call: Arc<Call>,
    _path: ClusterPath,
    _query: NoQuery,
    _body: NoBody,
) -> Result<Change<Cluster>> {
    let app = &call.app;
    let before = active_cluster(&*app.store, call.granted.organization(), call.granted.cluster()).await?;
    if before.value.delete_protection == DeleteProtection::Enabled {
        return Err(Error::precondition("cluster has delete_protection ENABLED; disable it first"));
    }
    let now = app.now();
    let after = Model {
        state: ClusterState::Deleted,
        deleted_at: Some(now),
        updated_at: now,
        ..before.value.clone()
    };
    let mut batch = Batch::by(&call.granted).with(rows::update(&before.row, &after)?);
    // What it used in each month stays: it is owed all the same.
    for kind in [Kind::AllowlistEntry, Kind::SqlCatalog, Kind::Meter, Kind::UsageHour] {
        batch = batch.with(RowChange::DeleteChildren { kind, parent: after.id.to_string() });
    }
    batch = batch.with(RowChange::ForgetSamples { cluster: after.id });
    Ok(Change::now(batch, render::cluster(app, &after).await?))
}

/// `GET /clusters/{cluster_id}/nodes`: the real processes, and whether they answer. A suspended cluster
/// has none.
pub async fn list_cluster_nodes(
    call: Arc<Call>,
    _path: ClusterPath,
    query: ListClusterNodesQuery,
    _body: NoBody,
) -> Result<ListClusterNodesResponse> {
    let app = &call.app;
    let found = active_cluster(&*app.store, call.granted.organization(), call.granted.cluster()).await?;
    let cluster = found.value;
    let observed = app.engine.observe(cluster.id).await?;
    // Everything runs in one place: the primary region's, or the first.
    let home = cluster.regions.iter().find(|region| region.primary).or(cluster.regions.first());
    let region_name = home.map(|region| region.name.clone()).unwrap_or_default();
    let wanted = query.region_name.filter(|name| !name.is_empty());
    let processes = if cluster.power == Power::On { observed.nodes } else { Vec::new() };
    let nodes: Vec<Node> = processes
        .into_iter()
        .map(|node| {
            render::node(format!("{}-{}", cluster.routing_id(), node.name), region_name.clone(), node.live)
        })
        .filter(|node| wanted.as_ref().is_none_or(|name| *name == node.region_name))
        .collect();
    let (nodes, pagination) = paging::slice(&call, &query.page, nodes, |node| node.name.clone())?;
    Ok(ListClusterNodesResponse { nodes, pagination })
}

/// `GET /clusters/available-regions`
pub async fn list_available_regions(
    call: Arc<Call>,
    _path: NoPath,
    query: ListAvailableRegionsQuery,
    _body: NoBody,
) -> Result<ListAvailableRegionsResponse> {
    let regions: Vec<CloudProviderRegion> = call
        .app
        .catalogue()
        .regions
        .iter()
        .filter(|region| query.provider.is_none_or(|provider| provider == region.provider))
        .filter(|region| query.serverless.is_none_or(|serverless| serverless == region.serverless))
        .map(render::region)
        .collect();
    // All regions are on this machine, so every distance is zero and names decide.
    let (regions, pagination) =
        paging::slice(&call, &query.page, regions, |region| format!("{} {}", region.name, region.provider))?;
    Ok(ListAvailableRegionsResponse { regions, pagination })
}

/// `GET /cluster-versions`
pub async fn list_major_cluster_versions(
    call: Arc<Call>,
    _path: NoPath,
    query: PageQuery,
    _body: NoBody,
) -> Result<ListMajorClusterVersionsResponse> {
    let catalogue = call.app.catalogue();
    let versions: Vec<ClusterMajorVersion> = catalogue.versions.iter().map(render::version).collect();
    let (versions, pagination) =
        paging::slice_descending(&call, &query, versions, |version| version_key(&version.version))?;
    Ok(ListMajorClusterVersionsResponse { versions, pagination })
}

/// `GET /clusters/{cluster_id}/connection-string`
pub async fn get_connection_string(
    call: Arc<Call>,
    _path: ClusterPath,
    query: ConnectionStringQuery,
    _body: NoBody,
) -> Result<GetConnectionStringResponse> {
    let app = &call.app;
    let found = active_cluster(&*app.store, call.granted.organization(), call.granted.cluster()).await?;
    if found.value.plan == Plan::Advanced {
        required("os", query.os)?;
    }
    Ok(render::connection_string(app, &found.value, query))
}

/// Orders `v25.10` after `v25.9`.
fn version_key(version: &str) -> String {
    version.trim_start_matches('v').split('.').map(|part| format!("{part:0>4}.")).collect()
}

/// The entry that opens a new BASIC or STANDARD cluster to everybody.
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

/// Whoever creates a cluster that it does not administer already becomes its CLUSTER_ADMIN.
async fn creator_grant(call: &Call, cluster: &Model) -> Result<Option<RowChange>> {
    let principal = call.granted.principal();
    let resource = Resource::Cluster(cluster.id);
    let folders = places::line(&call.app, cluster.organization, cluster.parent).await?;
    if principal.holds(&[Role::ClusterAdmin], resource, &folders) {
        return Ok(None);
    }
    let grant = Grant::new(Role::ClusterAdmin, resource)?;
    roles::also_holds(call, principal.id, grant).await.map(Some)
}

/// How long the answer waits for a cluster.
fn created_wait(app: &App) -> Duration {
    Duration::from_secs(app.settings.create_wait_seconds)
}

/// How long the answer waits for a new cluster.
fn wait_for(app: &App, cluster: &Model) -> Duration {
    if cluster.plan == Plan::Advanced { Duration::ZERO } else { created_wait(app) }
}

/// The answer of a change to a cluster that was interrupted while it waited, encoded.
pub async fn cluster_settled(app: &Arc<App>, id: ClusterId) -> Result<Vec<u8>> {
    let cluster = settled(app.clone(), id, created_wait(app)).await?;
    serde_json::to_vec(&cluster).map_err(|error| Error::internal("can not encode a reply").because(error))
}

/// The cluster once what runs is what was asked for, or as it stands after `limit`.
fn settled(app: Arc<App>, id: ClusterId, limit: Duration) -> Later<Cluster> {
    let mut hints = app.store.changes();
    Box::pin(async move {
        let deadline = Instant::now() + limit;
        loop {
            let found = rows::find::<Model>(&*app.store, &id.to_string()).await?;
            let cluster = found.ok_or_else(|| Error::not_found("cluster"))?.value;
            let moving = cluster.state == ClusterState::Creating
                || (cluster.state == ClusterState::Created
                    && cluster.observed.generation < cluster.generation);
            if !moving || Instant::now() >= deadline {
                return render::cluster(&app, &cluster).await;
            }
            // A hint may be lost, so look again now and then all the same.
            let id = id.to_string();
            let hint = async { while hints.recv().await.is_ok_and(|hint| hint.id != id) {} };
            let _ = tokio::time::timeout(Duration::from_millis(250), hint).await;
        }
    })
}
