//! Time series of clusters for charts and for Prometheus. Extensions of the API.
//!
//! | | |
//! |---|---|
//! | `GET /api/ootheca/v1/clusters/{id}/samples?from&to&points` | series for charts |
//! | `GET /api/ootheca/v1/samples?clusters=ID,ID…` | the newest sample of each of some clusters |
//! | `GET /api/v1/clusters/{id}/metricexport/prometheus/{region}/scrape` | see [`super::scrape`] |

use crate::{
    api::{Api, hierarchy},
    documents,
    http::{listener::Peer, metrics, response, scrape},
    identity::authenticate::{Credentials, identify},
    ids::fresh_id,
    metering::timeseries::{
        cell::Cell,
        downsample::{FINE, plan},
        read, second, seconds_between,
    },
};
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, Method, Uri, header},
    response::Response,
    routing::get,
};
use ootheca_model::{
    Cluster, ClusterId, Error, ErrorKind, Principal, Resource, Result, Timestamp,
    identity::{CLUSTER_READERS, Requirement, Target, authorize},
};
use ootheca_store::{Kind, Query};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use uuid::Uuid;

/// The default time range in seconds.
const USUAL: i64 = 3600;
/// The default and maximum number of points.
const POINTS: i64 = 300;
const MOST_POINTS: i64 = 1000;
/// The maximum number of clusters whose newest sample can be requested at once.
const MOST_CLUSTERS: usize = 200;
/// The age in seconds after which the newest sample of a cluster is outdated.
const NEWEST: i64 = 3600;
/// The end of the year 9999, the last year that can be formatted.
const LAST_SECOND: i64 = 253_402_300_799;

/// The routes.
pub fn router<S: Clone + Send + Sync + 'static>(api: Arc<Api>) -> Router<S> {
    Router::new()
        .route("/api/ootheca/v1/clusters/{id}/samples", get(series))
        .route("/api/ootheca/v1/samples", get(newest))
        .route("/api/v1/clusters/{id}/metricexport/prometheus/{region}/scrape", get(scraped))
        .with_state(api)
}

async fn series(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let found = async {
        let caller = identify(&api.identity, &Credentials::of(&Method::GET, &headers), peer.ip()).await?;
        let cluster = reachable(&api, &caller.principal, &id, CLUSTER_READERS).await?;
        let wanted = Wanted::read(uri.query().unwrap_or_default(), second(api.context.now()))?;
        charts(&api, cluster.id, wanted).await
    };
    json_answer(&api, found.await)
}

async fn newest(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let found = async {
        let caller = identify(&api.identity, &Credentials::of(&Method::GET, &headers), peer.ip()).await?;
        let ids = clusters(uri.query().unwrap_or_default())?;
        let visible = visible(&api, &caller.principal, &ids).await?;
        newest_of(&api, &visible).await
    };
    json_answer(&api, found.await)
}

async fn scraped(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path((id, region)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let found = async {
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let caller = identify(&api.identity, &Credentials::bearer(authorization), peer.ip()).await?;
        let cluster = reachable(&api, &caller.principal, &id, metrics::READERS).await?;
        scrape::text(&api.metering, &cluster, &region).await
    };
    answer(&api, metrics::CONTENT_TYPE, found.await)
}

/// The active cluster with this ID, if the caller has one of `roles` on it; otherwise an error as in the
/// pipeline.
async fn reachable(
    api: &Api,
    principal: &Arc<Principal>,
    id: &str,
    roles: &'static [ootheca_model::Role],
) -> Result<Cluster> {
    // A malformed ID is treated as unknown.
    let id = ClusterId(id.parse().unwrap_or(Uuid::nil()));
    let folders = hierarchy::folders(&api.context, principal, Resource::Cluster(id)).await?;
    let granted = authorize(principal, Requirement::Roles(roles), Target::Cluster(id, folders))?;
    let found = api.context.active_cluster(id).await?;
    if found.row.organization != granted.organization() {
        return Err(Error::not_found("cluster"));
    }
    Ok(found.value.clone())
}

/// The requested time range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    from: i64,
    to: i64,
    points: i64,
}

impl Wanted {
    fn read(query: &str, now: i64) -> Result<Self> {
        let pairs = pairs(query, &["from", "to", "points"])?;
        let time = |name: &str| pairs.get(name).map(|text| moment(name, text)).transpose();
        let to = time("to")?.unwrap_or(now);
        let from = time("from")?.unwrap_or_else(|| (to - USUAL).max(0));
        if from >= to {
            return Err(Error::invalid("from", "must be before to"));
        }
        let rule = || Error::invalid("points", format!("must be a number from 1 to {MOST_POINTS}"));
        let points = pairs.get("points").map(|text| text.parse::<i64>().map_err(|_| rule())).transpose()?;
        let points = points.unwrap_or(POINTS);
        if (1..=MOST_POINTS).contains(&points) { Ok(Self { from, to, points }) } else { Err(rule()) }
    }
}

/// The parameters of a query. Empty parameters are ignored, and unknown ones are an error.
fn pairs(query: &str, known: &[&str]) -> Result<BTreeMap<String, String>> {
    let mut pairs = BTreeMap::new();
    for (name, text) in form_urlencoded::parse(query.as_bytes()) {
        if !known.contains(&&*name) {
            return Err(Error::invalid(
                &name,
                format!("is not supported; supported parameters: {}", known.join(", ")),
            ));
        }
        if !text.is_empty() {
            pairs.insert(name.into_owned(), text.into_owned());
        }
    }
    Ok(pairs)
}

fn moment(name: &str, text: &str) -> Result<i64> {
    let found = text.parse::<i64>().ok().or_else(|| text.parse::<Timestamp>().ok().map(second));
    found.filter(|moment| (0..=LAST_SECOND).contains(moment)).ok_or_else(|| {
        Error::invalid(name, "must be an RFC 3339 time, such as 2026-11-24T16:00:00Z, or Unix seconds")
    })
}

fn clusters(query: &str) -> Result<BTreeSet<ClusterId>> {
    let pairs = pairs(query, &["clusters"])?;
    let text = pairs
        .get("clusters")
        .ok_or_else(|| Error::invalid("clusters", "is required: IDs of clusters, separated by commas"))?;
    let ids = text.split(',').map(|id| {
        id.trim()
            .parse()
            .map_err(|_| Error::invalid("clusters", format!("{id:?} is not the id of a cluster")))
    });
    let ids = ids.collect::<Result<BTreeSet<ClusterId>>>()?;
    if ids.len() > MOST_CLUSTERS {
        return Err(Error::invalid("clusters", format!("must be at most {MOST_CLUSTERS} ids")));
    }
    Ok(ids)
}

async fn charts(api: &Api, cluster: ClusterId, wanted: Wanted) -> Result<Value> {
    let Wanted { from, to, points } = wanted;
    let plan = plan(from, to, points, seconds_between(&api.metering), second(api.context.now()));
    let step = plan.step;
    // Read before the rows: samples that are written in between are then in both, which changes no rate and
    // no average.
    let unwritten = api.metering.samples.unwritten_of(cluster);
    let rows = read(&api.metering, &[cluster], step, step.row_start(plan.first), plan.end()).await?;
    let written = rows.iter().flat_map(|(_, start, places)| {
        places.iter().map(move |(place, cell)| (start + place * step.seconds, *cell))
    });
    let cells = plan.gather(written.chain(unwritten));
    let times: Vec<i64> = (0..plan.points).map(|point| plan.first + point * plan.point).collect();
    let mut series: Map<String, Value> = Map::new();
    for (name, _) in Cell::default().values() {
        series.insert(name, Value::Array(Vec::with_capacity(cells.len())));
    }
    for (name, value) in cells.iter().flat_map(Cell::values) {
        if let Some(Value::Array(values)) = series.get_mut(&name) {
            values.push(json!(value));
        }
    }
    Ok(json!({ "from": from, "to": to, "step_seconds": plan.point, "times": times, "series": series }))
}

/// The active clusters among these that the caller can read.
async fn visible(api: &Api, principal: &Principal, ids: &BTreeSet<ClusterId>) -> Result<Vec<ClusterId>> {
    let query = Query {
        organization: Some(principal.organization),
        ids: Some(ids.iter().map(ClusterId::to_string).collect()),
        ..Query::active(Kind::Cluster)
    };
    let in_folders = principal.grants.iter().any(|grant| matches!(grant.resource, Resource::Folder(_)));
    let tree =
        if in_folders { Some(hierarchy::tree(&api.context, principal.organization).await?) } else { None };
    let mut visible = Vec::new();
    for row in api.context.store.list(&query).await? {
        let cluster = documents::decode::<Cluster>(row)?.value;
        let line = tree.as_ref().map(|tree| tree.line_ids(cluster.parent)).unwrap_or_default();
        if principal.knows(Resource::Cluster(cluster.id), &line) {
            visible.push(cluster.id);
        }
    }
    Ok(visible)
}

async fn newest_of(api: &Api, clusters: &[ClusterId]) -> Result<Value> {
    let now = second(api.context.now());
    let mut found: BTreeMap<ClusterId, (i64, Cell)> = BTreeMap::new();
    // If another server takes the samples, only the store has them.
    if api.context.lease.borrow().is_some() {
        let known = clusters.iter().filter_map(|id| Some((*id, api.metering.samples.newest(*id)?)));
        found.extend(known);
    }
    let unknown: Vec<ClusterId> = clusters.iter().filter(|id| !found.contains_key(id)).copied().collect();
    if !unknown.is_empty() {
        let rows = read(&api.metering, &unknown, FINE, FINE.row_start(now - NEWEST), now + 1).await?;
        for (cluster, start, places) in rows {
            if let Some((place, cell)) = places.last_key_value() {
                found.insert(cluster, (start + place * FINE.seconds, *cell));
            }
        }
    }
    let samples =
        found.into_iter().filter(|(_, (at, _))| *at >= now - NEWEST).map(|(cluster, (at, cell))| {
            let values: Map<String, Value> =
                cell.values().into_iter().map(|(name, value)| (name, json!(value))).collect();
            json!({ "cluster_id": cluster, "time": at, "values": values })
        });
    Ok(json!({ "samples": samples.collect::<Vec<Value>>() }))
}

fn json_answer(api: &Api, result: Result<Value>) -> Response {
    answer(api, "application/json", result.map(|body| body.to_string()))
}

fn answer(api: &Api, content_type: &str, result: Result<String>) -> Response {
    let trace_id = fresh_id().simple().to_string();
    let (response, body) = match result {
        Ok(body) => (Response::builder().header(header::CONTENT_TYPE, content_type), body.into_bytes()),
        Err(error) => {
            if error.kind() == ErrorKind::Internal {
                tracing::error!(trace_id, error = error.chain(), "request failed");
            }
            (response::refusal(&error), ootheca_api::error::body(&error))
        }
    };
    let response = response.header(header::CACHE_CONTROL, "no-store").header("cc-trace-id", trace_id);
    let response = response.body(Body::from(body)).unwrap_or_default();
    api.response_counts.count(response.status().as_u16());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_796_000_000;

    fn read(query: &str) -> Result<Wanted> {
        Wanted::read(query, NOW)
    }

    #[test]
    fn what_is_not_said_is_the_last_hour() {
        assert_eq!(read("").unwrap(), Wanted { from: NOW - 3600, to: NOW, points: 300 });
        assert_eq!(read("to=5000&points=").unwrap(), Wanted { from: 1400, to: 5000, points: 300 });
        let wanted = Wanted { from: 1_795_536_000, to: 1_795_539_600, points: 1000 };
        let query = "from=2026-11-24T16%3A00%3A00Z&to=1795539600&points=1000";
        assert_eq!(read(query).unwrap(), wanted);
    }

    #[test]
    fn errors_name_the_parameter() {
        let refused = |query: &str| read(query).expect_err(query).message().to_owned();
        for (query, start) in [
            ("from=yesterday", "invalid argument: from: must be an RFC 3339 time"),
            ("to=-5", "invalid argument: to: must be an RFC 3339 time"),
            ("from=10&to=10", "invalid argument: from: must be before to"),
            ("points=0", "invalid argument: points: must be a number from 1 to 1000"),
            ("points=1001", "invalid argument: points: must be"),
            ("points=many", "invalid argument: points: must be"),
            ("form=10", "invalid argument: form: is not supported; supported parameters: from, to, points"),
        ] {
            assert!(refused(query).starts_with(start), "{query}: {}", refused(query));
        }
        for query in ["", "clusters=", "clusters=x", "clusters=,"] {
            let error = clusters(query).expect_err(query);
            assert!(error.message().starts_with("invalid argument: clusters: "), "{error}");
        }
        let many: Vec<String> = (0..201).map(|n| ClusterId(Uuid::from_u128(n)).to_string()).collect();
        assert!(clusters(&format!("clusters={}", many.join(","))).is_err());
        assert_eq!(clusters(&format!("clusters={}", many[..200].join(","))).unwrap().len(), 200);
    }
}
