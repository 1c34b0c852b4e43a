//! Time series of clusters, for charts.

use crate::params::{ParamValue, query_params};
use ootheca_model::{ClusterId, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The end of the year 9999, the last year that can be formatted.
const LAST_SECOND: i64 = 253_402_300_799;

/// A time in a query, in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixTime(pub i64);

impl ParamValue for UnixTime {
    fn schema() -> Value {
        json!({ "anyOf": [
            { "type": "string", "format": "date-time" },
            { "type": "integer", "format": "int64", "minimum": 0 },
            { "type": "string", "maxLength": 0 },
        ] })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let second = |time: Timestamp| time.0.div_euclid(1_000_000);
        let found = text.parse::<i64>().ok().or_else(|| text.parse::<Timestamp>().ok().map(second));
        found.filter(|found| (0..=LAST_SECOND).contains(found)).map(Self).ok_or_else(|| {
            "must be an RFC 3339 time, such as 2026-11-24T16:00:00Z, or Unix seconds".to_owned()
        })
    }
}

/// The maximum number of clusters in [`ClusterIds`].
const MOST_CLUSTERS: usize = 200;

/// IDs of clusters in a query, separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterIds(pub BTreeSet<ClusterId>);

impl ParamValue for ClusterIds {
    fn schema() -> Value {
        let id = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
        json!({ "type": "string", "pattern": format!("^{id}(,{id}){{0,{}}}$", MOST_CLUSTERS - 1) })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let ids = text.split(',').map(|id| {
            id.trim().parse().map_err(|_| format!("must be IDs of clusters, separated by commas, not {id:?}"))
        });
        let ids = ids.collect::<Result<BTreeSet<ClusterId>, String>>()?;
        if ids.len() > MOST_CLUSTERS {
            return Err(format!("must be at most {MOST_CLUSTERS} IDs"));
        }
        Ok(Self(ids))
    }
}

query_params! {
    /// Query of `GetClusterSamples`.
    ClusterSamplesQuery {
        /// Start of the time range, as an RFC 3339 time or in Unix seconds; one hour before its end by default.
        from: UnixTime = "from",
        /// End of the time range; now by default.
        to: UnixTime = "to",
        /// Number of points, from 1 to 1000; 300 by default.
        points: i32 = "points",
    }
}

query_params! {
    /// Query of `ListLatestSamples`.
    LatestSamplesQuery {
        /// IDs of clusters, separated by commas.
        clusters: ClusterIds = required "clusters",
    }
}

/// Time series with common times.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ClusterSamples {
    /// Start of the time range in Unix seconds.
    pub from: i64,
    /// End of the time range in Unix seconds.
    pub to: i64,
    /// Seconds between two points.
    pub step_seconds: i64,
    /// Start of each point in Unix seconds.
    pub times: Vec<i64>,
    /// The series by name: a value for each time, `null` where there is no sample.
    pub series: BTreeMap<String, Vec<Option<f64>>>,
}

/// The latest sample of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct LatestSample {
    /// ID of the cluster.
    pub cluster_id: String,
    /// Start of the sample in Unix seconds.
    pub time: i64,
    /// The value of each series by name.
    pub values: BTreeMap<String, Option<f64>>,
}

/// Response of `ListLatestSamples`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListLatestSamplesResponse {
    /// The latest sample of each cluster that has one from the last hour and that the caller can read.
    pub samples: Vec<LatestSample>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_ids_are_parsed_and_limited() {
        for text in ["", "x", ","] {
            assert!(ClusterIds::parse(text).unwrap_err().contains("IDs of clusters"), "{text}");
        }
        let many: Vec<String> = (0..201).map(|n| format!("{n:08x}-0000-4000-8000-000000000000")).collect();
        assert!(ClusterIds::parse(&many.join(",")).is_err());
        assert_eq!(ClusterIds::parse(&many[..200].join(",")).unwrap().0.len(), 200);
    }
}
