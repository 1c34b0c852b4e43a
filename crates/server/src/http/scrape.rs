//! `GET /api/v1/clusters/{id}/metricexport/prometheus/{region}/scrape`: the metrics of one cluster for
//! Prometheus, with the names of the official export, which is documented in its guide but not in its OpenAPI
//! document.
//!
//! Counters start at zero when the server starts. A cluster that does not run has no metrics.

use crate::{
    api::{Api, hierarchy},
    http::{metrics, response},
    identity::authenticate::{Credentials, identify},
    metering::Metering,
};
use axum::{
    body::Body,
    http::{HeaderMap, header},
    response::Response,
};
use ootheca_model::{
    Cluster, ClusterId, ClusterState, Error, Organization, Plan, Resource, Result,
    identity::{Requirement, Target, authorize},
    instance::Power,
    units::MICRO,
};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use std::{net::IpAddr, sync::atomic::AtomicU64};
use uuid::Uuid;

type Labels = [(&'static str, String); 4];

/// The response to a scrape of the cluster with the ID `cluster`.
pub(super) async fn answer(
    api: &Api,
    peer: IpAddr,
    headers: &HeaderMap,
    cluster: &str,
    region: &str,
) -> Response {
    let found = async {
        let cluster = readable(api, peer, headers, cluster).await?;
        text(&api.metering, &cluster, region).await
    };
    match found.await {
        Ok(text) => Response::builder()
            .header(header::CONTENT_TYPE, metrics::CONTENT_TYPE)
            .header(header::CACHE_CONTROL, "no-store")
            .body(Body::from(text))
            .unwrap_or_default(),
        Err(error) => response::failure(&error),
    }
}

/// The active cluster with this ID, if the caller can read its metrics; otherwise an error as in the pipeline.
async fn readable(api: &Api, peer: IpAddr, headers: &HeaderMap, id: &str) -> Result<Cluster> {
    let principal = identify(&api.identity, Credentials::bearer(headers), peer).await?.principal;
    // A malformed ID is treated as unknown.
    let id = ClusterId(id.parse().unwrap_or(Uuid::nil()));
    let folders = hierarchy::folders(&api.context, &principal, Resource::Cluster(id)).await?;
    let target = Target::Cluster(id, folders);
    let granted = authorize(&principal, Requirement::Roles(metrics::READERS), target)?;
    let found = api.context.active_cluster(id).await?;
    if found.row.organization != granted.organization() {
        return Err(Error::not_found("cluster"));
    }
    Ok(found.value.clone())
}

/// The metrics of a cluster in one of its regions.
async fn text(metering: &Metering, cluster: &Cluster, region: &str) -> Result<String> {
    if cluster.plan == Plan::Basic {
        return Err(Error::precondition("metric export is not supported for BASIC clusters"));
    }
    if !cluster.regions.iter().any(|known| known.name == region) {
        return Err(Error::not_found(format!("region {region} of the cluster")));
    }
    // All servers run on this machine and are shown in the primary region, or in the first one.
    let home = cluster.regions.iter().find(|region| region.primary).or(cluster.regions.first());
    let made = matches!(cluster.state, ClusterState::Created | ClusterState::Locked);
    let runs = made && cluster.power == Power::On && home.is_some_and(|home| home.name == region);
    let mut registry = Registry::with_prefix("crdb_cloud");
    if runs {
        let organization = metering.context.find::<Organization>(&cluster.organization.to_string()).await?;
        let organization = organization.map(|found| found.value.name.clone()).unwrap_or_default();
        let labels = [
            ("cluster", cluster.name.clone()),
            ("instance", format!("{}-n1", cluster.routing_id())),
            ("organization", organization),
            ("region", region.to_owned()),
        ];
        register(metering, cluster, &labels, &mut registry).await?;
    }
    let mut text = String::new();
    encode(&mut text, &registry)
        .map_err(|error| Error::internal("could not encode the metrics").because(error))?;
    Ok(text)
}

async fn register(
    metering: &Metering,
    cluster: &Cluster,
    labels: &Labels,
    registry: &mut Registry,
) -> Result<()> {
    let counter = |count: u64| {
        let family = Family::<Labels, Counter>::default();
        family.get_or_create(labels).inc_by(count);
        family
    };
    let gauge = |level: u64| {
        let family = Family::<Labels, Gauge>::default();
        family.get_or_create(labels).set(i64::try_from(level).unwrap_or(i64::MAX));
        family
    };
    #[allow(clippy::cast_precision_loss)]
    let sum = |micros: u64| {
        let family = Family::<Labels, Counter<f64, AtomicU64>>::default();
        family.get_or_create(labels).inc_by(micros as f64 / MICRO as f64);
        family
    };
    let (sent, received) = metering.activity.totals(cluster.id);
    let storage = metering.meter(cluster.id).await?.map_or(0, |meter| meter.value.last.storage_bytes);
    let totals = metering.samples.totals(cluster.id);
    registry.register("sql_conns", "Open SQL sessions", gauge(metering.activity.sessions(cluster.id).into()));
    registry.register("sql_bytesin", "Bytes received from SQL clients", counter(received));
    registry.register("sql_bytesout", "Bytes sent to SQL clients", counter(sent));
    registry.register("sql_txn", "Completed transactions", counter(totals.transactions));
    let help = "Time during which sessions executed statements";
    registry.register_with_unit("sql_active", help, Unit::Seconds, sum(totals.active_micros));
    let help = "CPU time of the SQL server";
    registry.register_with_unit("sys_cpu", help, Unit::Seconds, sum(totals.cpu_micros));
    registry.register("capacity_used", "Bytes of data on disk", gauge(storage));
    let help = "Request units, total of all components";
    registry.register("tenant_sql_usage_request_units", help, sum(totals.used.request_units().total()));
    for (name, help, count) in [
        ("pgwire_egress_bytes", "Bytes sent to SQL clients, as metered", totals.used.egress_bytes),
        ("read_batches", "Transactions that read rows", totals.used.read_batches),
        ("read_requests", "Index lookups", totals.used.read_requests),
        ("read_bytes", "Bytes of blocks read", totals.used.read_bytes),
        ("write_batches", "Transactions that wrote, for each replica", totals.used.write_batches),
        ("write_requests", "Rows and index entries written, for each replica", totals.used.write_requests),
        ("write_bytes", "Bytes written, for each replica", totals.used.write_bytes),
    ] {
        registry.register(format!("tenant_sql_usage_{name}"), help, counter(count));
    }
    Ok(())
}
