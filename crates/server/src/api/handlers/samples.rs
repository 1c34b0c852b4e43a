//! The time series of clusters, for charts.

use crate::{
    api::{call::Call, convert::required, hierarchy},
    documents,
    metering::timeseries::{
        downsample::{FINE, plan},
        read,
        sample::Sample,
        second, seconds_between,
    },
};
use ootheca_api::wire::*;
use ootheca_model::{Cluster as Model, ClusterId, Error, Principal, Resource, Result};
use ootheca_store::{Kind, Query};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The default time range in seconds.
const USUAL: i64 = 3600;
/// The default and maximum number of points.
const POINTS: i32 = 300;
const MOST_POINTS: i32 = 1000;
/// The age in seconds after which the latest sample of a cluster is outdated.
const NEWEST: i64 = 3600;

/// `GET /clusters/{cluster_id}/samples`
pub async fn get_cluster_samples(
    call: Arc<Call>,
    path: ClusterPath,
    query: ClusterSamplesQuery,
) -> Result<ClusterSamples> {
    // A malformed ID is treated as unknown.
    let id: ClusterId = path.cluster_id.parse().map_err(|_| Error::not_found("cluster"))?;
    let found = call.context.active_cluster(id).await?;
    if found.row.organization != call.granted.organization() {
        return Err(Error::not_found("cluster"));
    }
    charts(&call, id, Wanted::read(&query, second(call.context.now()))?).await
}

/// `GET /samples`
pub async fn list_latest_samples(
    call: Arc<Call>,
    query: LatestSamplesQuery,
) -> Result<ListLatestSamplesResponse> {
    let ids = required("clusters", query.clusters)?.0;
    let visible = visible(&call, call.granted.principal(), &ids).await?;
    latest_of(&call, &visible).await
}

/// The requested time range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    from: i64,
    to: i64,
    points: i64,
}

impl Wanted {
    fn read(query: &ClusterSamplesQuery, now: i64) -> Result<Self> {
        let to = query.to.map_or(now, |time| time.0);
        let from = query.from.map_or((to - USUAL).max(0), |time| time.0);
        if from >= to {
            return Err(Error::invalid("from", "must be before to"));
        }
        let points = query.points.unwrap_or(POINTS);
        if !(1..=MOST_POINTS).contains(&points) {
            return Err(Error::invalid("points", format!("must be a number from 1 to {MOST_POINTS}")));
        }
        Ok(Self { from, to, points: points.into() })
    }
}

async fn charts(call: &Call, cluster: ClusterId, wanted: Wanted) -> Result<ClusterSamples> {
    let Wanted { from, to, points } = wanted;
    let (metering, now) = (&call.metering, second(call.context.now()));
    let plan = plan(from, to, points, seconds_between(metering), now);
    let step = plan.step;
    // Read before the rows: samples that are written in between are then in both, which changes no rate and
    // no average.
    let unwritten = metering.samples.unwritten_of(cluster);
    let rows = read(metering, &[cluster], step, step.row_start(plan.first), plan.end()).await?;
    let written = rows.iter().flat_map(|(_, start, places)| {
        places.iter().map(move |(place, sample)| (start + place * step.seconds, *sample))
    });
    let samples = plan.gather(written.chain(unwritten));
    let times: Vec<i64> = (0..plan.points).map(|point| plan.first + point * plan.point).collect();
    let mut series: BTreeMap<String, Vec<Option<f64>>> =
        Sample::default().values().into_iter().map(|(name, _)| (name, Vec::new())).collect();
    for (name, value) in samples.iter().flat_map(Sample::values) {
        series.entry(name).or_default().push(value);
    }
    Ok(ClusterSamples { from, to, step_seconds: plan.point, times, series })
}

/// The active clusters among these that the caller can read.
async fn visible(call: &Call, principal: &Principal, ids: &BTreeSet<ClusterId>) -> Result<Vec<ClusterId>> {
    let query = Query {
        organization: Some(principal.organization),
        ids: Some(ids.iter().map(ClusterId::to_string).collect()),
        ..Query::active(Kind::Cluster)
    };
    let in_folders = principal.grants.iter().any(|grant| matches!(grant.resource, Resource::Folder(_)));
    let tree =
        if in_folders { Some(hierarchy::tree(&call.context, principal.organization).await?) } else { None };
    let mut visible = Vec::new();
    for row in call.context.store.list(&query).await? {
        let cluster = documents::decode::<Model>(row)?.value;
        let line = tree.as_ref().map(|tree| tree.ancestor_ids_from(cluster.parent)).unwrap_or_default();
        if principal.knows(Resource::Cluster(cluster.id), &line) {
            visible.push(cluster.id);
        }
    }
    Ok(visible)
}

async fn latest_of(call: &Call, clusters: &[ClusterId]) -> Result<ListLatestSamplesResponse> {
    let now = second(call.context.now());
    let mut found: BTreeMap<ClusterId, (i64, Sample)> = BTreeMap::new();
    // If another server takes the samples, only the store has them.
    if call.context.lease.borrow().is_some() {
        let known = clusters.iter().filter_map(|id| Some((*id, call.metering.samples.newest(*id)?)));
        found.extend(known);
    }
    let unknown: Vec<ClusterId> = clusters.iter().filter(|id| !found.contains_key(id)).copied().collect();
    if !unknown.is_empty() {
        let rows = read(&call.metering, &unknown, FINE, FINE.row_start(now - NEWEST), now + 1).await?;
        for (cluster, start, places) in rows {
            if let Some((place, sample)) = places.last_key_value() {
                found.insert(cluster, (start + place * FINE.seconds, *sample));
            }
        }
    }
    let samples = found.into_iter().filter(|(_, (at, _))| *at >= now - NEWEST);
    let samples = samples.map(|(cluster, (time, sample))| LatestSample {
        cluster_id: cluster.to_string(),
        time,
        values: sample.values().into_iter().collect(),
    });
    Ok(ListLatestSamplesResponse { samples: samples.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ootheca_api::decode;

    const NOW: i64 = 1_796_000_000;

    fn read(query: &str) -> Result<Wanted> {
        Wanted::read(&decode::query(query)?, NOW)
    }

    #[test]
    fn the_default_range_is_the_last_hour() {
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
        ] {
            assert!(refused(query).starts_with(start), "{query}: {}", refused(query));
        }
    }
}
