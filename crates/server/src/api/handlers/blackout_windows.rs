//! The blackout windows of a cluster. They are recorded; nothing is scheduled yet that they could block.

use crate::{
    api::{call::Call, decision::Decision, handlers::paging},
    documents::{self, Stored},
    ids::fresh_id,
};
use ootheca_api::wire::*;
use ootheca_model::{
    Error, Result,
    blackout::{self, BlackoutPatch, BlackoutWindow as Model},
};
use ootheca_store::{Batch, Kind, Query};
use std::sync::Arc;

/// `GET …/blackout-windows`
pub async fn list_blackout_windows(
    call: Arc<Call>,
    _path: ClusterPath,
    query: PageQuery,
) -> Result<ListBlackoutWindowsResponse> {
    let cluster = call.cluster().await?;
    let rows = Query { parent: Some(cluster.row.id), ..Query::all(Kind::BlackoutWindow) };
    let (rows, pagination) = paging::rows(&call, &query, rows).await?;
    let windows = rows.into_iter().map(|row| Ok(convert(documents::decode::<Model>(row)?.value)));
    Ok(ListBlackoutWindowsResponse { blackout_windows: windows.collect::<Result<_>>()?, pagination })
}

/// `GET …/blackout-windows/{blackout_window_id}`
pub async fn get_blackout_window(call: Arc<Call>, path: BlackoutWindowPath) -> Result<BlackoutWindow> {
    Ok(convert(existing(&call, &path).await?.value))
}

/// `POST …/blackout-windows`
pub async fn create_blackout_window(
    call: Arc<Call>,
    _path: ClusterPath,
    body: CreateBlackoutWindowBody,
) -> Result<Decision<BlackoutWindow>> {
    let cluster = call.cluster().await?;
    let request = BlackoutPatch { start_time: body.start_time, end_time: body.end_time };
    let window = blackout::create(&cluster.value, fresh_id().to_string(), &request, call.context.now())?;
    // If the cluster is deleted at the same time, touching it prevents that the window is left.
    let batch =
        Batch::by(&call.granted).with(documents::touch(&cluster.row)).with(documents::insert(&window)?);
    Ok(Decision::now(batch, convert(window)))
}

/// `PATCH …/blackout-windows/{blackout_window_id}`
pub async fn update_blackout_window(
    call: Arc<Call>,
    path: BlackoutWindowPath,
    body: UpdateBlackoutWindowBody,
) -> Result<Decision<BlackoutWindow>> {
    let before = existing(&call, &path).await?;
    let wanted = BlackoutPatch { start_time: body.start_time, end_time: body.end_time };
    let after = blackout::patch(&before.value, &wanted, call.context.now())?;
    Ok(Decision::now(Batch::by(&call.granted).with(documents::update(&before.row, &after)?), convert(after)))
}

/// `DELETE …/blackout-windows/{blackout_window_id}`
pub async fn delete_blackout_window(
    call: Arc<Call>,
    path: BlackoutWindowPath,
) -> Result<Decision<BlackoutWindow>> {
    let before = existing(&call, &path).await?;
    Ok(Decision::now(Batch::by(&call.granted).with(documents::delete(&before.row)), convert(before.value)))
}

/// The window, if it belongs to the cluster in the path.
async fn existing(call: &Call, path: &BlackoutWindowPath) -> Result<Stored<Model>> {
    let cluster = call.cluster().await?;
    let id = path.blackout_window_id.to_lowercase();
    let found = documents::find::<Model>(&*call.context.store, &id).await?;
    let found = found.filter(|found| found.row.parent == cluster.row.id);
    found.ok_or_else(|| Error::not_found("blackout window"))
}

fn convert(window: Model) -> BlackoutWindow {
    BlackoutWindow {
        id: window.id,
        cluster_id: window.cluster.to_string(),
        start_time: window.start_time,
        end_time: window.end_time,
    }
}
