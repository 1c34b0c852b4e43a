//! What was true before: earlier values of rows and lists, for stale reads.

use super::schedule::Schedule;
use ootheca_model::{Cluster, ClusterState};
use ootheca_store::{Kind, Row};
use parking_lot::Mutex;
use std::collections::HashMap;

/// The number of earlier values that are kept.
const KEPT: usize = 3;

/// The kind and ID of a row.
pub(super) type Key = (Kind, String);

/// A row, or `None` while there was none.
type Value = Option<Row>;

/// The result of a query.
#[derive(Clone, PartialEq)]
pub(super) enum Listed {
    Rows(Vec<Row>),
    Revisions(Vec<(String, i64)>),
    Ids(Vec<String>),
}

/// Earlier values of rows and lists.
#[derive(Default)]
pub(super) struct Past {
    rows: Mutex<HashMap<Key, Vec<Value>>>,
    lists: Mutex<HashMap<String, Vec<Listed>>>,
}

impl Past {
    /// Records that a row has changed. `before` was its value, or `None` if there was no row.
    pub(super) fn superseded(&self, key: Key, before: Value) {
        push(self.rows.lock().entry(key).or_default(), before);
    }

    /// An earlier value of a row whose value is `now`.
    ///
    /// A cluster that was created is not shown as CREATING: only steps make this change, and the driver runs
    /// one step of a cluster at a time, so no step can be that late.
    pub(super) fn row(&self, kind: Kind, id: &str, now: Option<&Row>, schedule: &Schedule) -> Option<Value> {
        let rows = self.rows.lock();
        let earlier = pick(rows.get(&(kind, id.to_owned()))?, schedule)?;
        let creating = |row: Option<&Row>| state(kind, row) == Some(ClusterState::Creating);
        let created = |row: Option<&Row>| state(kind, row) == Some(ClusterState::Created);
        if creating(earlier.as_ref()) && created(now) {
            return None;
        }
        Some(earlier)
    }

    /// Records the current result of a query, and returns an earlier one.
    pub(super) fn list(&self, query: String, now: &Listed, schedule: &Schedule) -> Option<Listed> {
        let mut lists = self.lists.lock();
        let earlier = lists.entry(query).or_default();
        let found = pick(earlier, schedule);
        if earlier.last() != Some(now) {
            push(earlier, now.clone());
        }
        found
    }
}

fn state(kind: Kind, row: Option<&Row>) -> Option<ClusterState> {
    let row = row.filter(|_| kind == Kind::Cluster)?;
    serde_json::from_str::<Cluster>(&row.document).ok().map(|cluster| cluster.state)
}

fn push<T>(values: &mut Vec<T>, value: T) {
    values.push(value);
    if values.len() > KEPT {
        values.remove(0);
    }
}

fn pick<T: Clone>(values: &[T], schedule: &Schedule) -> Option<T> {
    let count = u64::try_from(values.len()).unwrap_or(0);
    let place = usize::try_from(schedule.below(count)).unwrap_or(0);
    values.get(place).cloned()
}
