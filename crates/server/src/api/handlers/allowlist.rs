//! IP allowlists. The gateway reads them for every new connection, and again when they change.

use crate::{
    api::{call::Call, convert::required, decision::Decision, handlers::paging},
    documents::{self, Stored},
};
use ootheca_api::wire::*;
use ootheca_model::{AllowlistEntry as Model, Cluster, Error, ErrorKind, Result, allowlist};
use ootheca_store::{Batch, Kind, Query};
use std::sync::Arc;

/// `GET …/networking/allowlist`
pub async fn list_allowlist_entries(
    call: Arc<Call>,
    _path: ClusterPath,
    query: PageQuery,
) -> Result<ListAllowlistEntriesResponse> {
    let cluster = call.cluster().await?;
    let rows = Query { parent: Some(cluster.row.id.clone()), ..Query::all(Kind::AllowlistEntry) };
    let (rows, pagination) = paging::rows(&call, &query, rows).await?;
    let allowlist = rows.into_iter().map(|row| Ok(convert(documents::decode::<Model>(row)?.value)));
    // The gateway reads the list again before this response is sent, so no change is ever propagating.
    Ok(ListAllowlistEntriesResponse {
        allowlist: allowlist.collect::<Result<_>>()?,
        propagating: false,
        pagination,
    })
}

/// `POST …/networking/allowlist`
pub async fn add_allowlist_entry(
    call: Arc<Call>,
    _path: ClusterPath,
    body: AllowlistEntryRequest,
) -> Result<Decision<AllowlistEntry>> {
    let cluster = call.cluster().await?;
    let ip = required("cidr_ip", body.cidr_ip.clone())?;
    let mask = required("cidr_mask", body.cidr_mask)?;
    let entry = new_entry(&call, &cluster.value, &ip, mask, &body)?;
    add(&call, &cluster, entry).await
}

/// `PUT …/networking/allowlist/{cidr_ip}/{cidr_mask}`: adds or replaces the entry.
pub async fn add_allowlist_entry2(
    call: Arc<Call>,
    path: AllowlistEntryPath,
    body: AllowlistEntryRequest,
) -> Result<Decision<AllowlistEntry>> {
    let cluster = call.cluster().await?;
    let entry = new_entry(&call, &cluster.value, &path.cidr_ip, path.cidr_mask, &body)?;
    let id = Model::row_id(entry.cluster, entry.network);
    match documents::find::<Model>(&*call.context.store, &id).await? {
        None => add(&call, &cluster, entry).await,
        Some(before) => {
            let after = Model { created_at: before.value.created_at, ..entry };
            Ok(Decision::now(
                Batch::by(&call.granted).with(documents::update(&before.row, &after)?),
                convert(after),
            ))
        }
    }
}

/// `PATCH …/networking/allowlist/{cidr_ip}/{cidr_mask}`. An absent name is not changed.
pub async fn update_allowlist_entry(
    call: Arc<Call>,
    path: AllowlistEntryPath,
    body: AllowlistEntryRequest,
) -> Result<Decision<AllowlistEntry>> {
    let before = existing(&call, &path).await?;
    let after = Model {
        name: checked_name(body.name)?.unwrap_or_else(|| before.value.name.clone()),
        sql: required("sql", body.sql)?,
        ui: required("ui", body.ui)?,
        ..before.value
    };
    Ok(Decision::now(Batch::by(&call.granted).with(documents::update(&before.row, &after)?), convert(after)))
}

/// `DELETE …/networking/allowlist/{cidr_ip}/{cidr_mask}`
pub async fn delete_allowlist_entry(
    call: Arc<Call>,
    path: AllowlistEntryPath,
) -> Result<Decision<AllowlistEntry>> {
    let before = existing(&call, &path).await?;
    Ok(Decision::now(Batch::by(&call.granted).with(documents::delete(&before.row)), convert(before.value)))
}

async fn existing(call: &Call, path: &AllowlistEntryPath) -> Result<Stored<Model>> {
    let cluster = call.cluster().await?;
    let network = allowlist::network(&path.cidr_ip, path.cidr_mask.into())?;
    let found =
        documents::find::<Model>(&*call.context.store, &Model::row_id(cluster.value.id, network)).await?;
    found.ok_or_else(|| Error::not_found("allowlist entry"))
}

async fn add(call: &Call, cluster: &Stored<Cluster>, entry: Model) -> Result<Decision<AllowlistEntry>> {
    let query = Query { parent: Some(cluster.row.id.clone()), ..Query::all(Kind::AllowlistEntry) };
    let limit = cluster.value.allowlist_limit();
    if call.context.store.list(&query).await?.len() >= limit {
        let message =
            format!("allowlist: a cluster with plan {} can have at most {limit} entries", cluster.value.plan);
        return Err(Error::new(ErrorKind::Precondition, message));
    }
    // Touching the cluster prevents two concurrent additions from exceeding the limit together.
    let batch =
        Batch::by(&call.granted).with(documents::touch(&cluster.row)).with(documents::insert(&entry)?);
    Ok(Decision::now(batch, convert(entry)))
}

fn new_entry(
    call: &Call,
    cluster: &Cluster,
    ip: &str,
    mask: i32,
    body: &AllowlistEntryRequest,
) -> Result<Model> {
    Ok(Model {
        organization: cluster.organization,
        cluster: cluster.id,
        network: allowlist::network(ip, mask.into())?,
        name: checked_name(body.name.clone())?.unwrap_or_default(),
        sql: required("sql", body.sql)?,
        ui: required("ui", body.ui)?,
        created_at: call.context.now(),
    })
}

fn checked_name(name: Option<String>) -> Result<Option<String>> {
    match name {
        Some(name) if name.chars().count() > 255 => {
            Err(Error::invalid("name", "must have at most 255 characters"))
        }
        name => Ok(name),
    }
}

fn convert(entry: Model) -> AllowlistEntry {
    AllowlistEntry {
        cidr_ip: entry.network.addr().to_string(),
        cidr_mask: entry.network.prefix_len().into(),
        name: entry.name,
        sql: entry.sql,
        ui: entry.ui,
    }
}
