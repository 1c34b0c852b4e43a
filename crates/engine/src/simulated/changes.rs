//! The changes of the data of the simulated engine, with their times.

use super::state::{ClusterData, ClusterDocument};
use ootheca_model::{Result, Timestamp, time::Clock};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, sync::Arc, time::SystemTime};

/// The clock for the times of changes.
pub(super) struct ChangeClock(pub(super) Arc<dyn Clock>);

impl Default for ChangeClock {
    fn default() -> Self {
        Self(Arc::new(SystemClock))
    }
}

impl fmt::Debug for ChangeClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChangeClock").field(&self.0.now()).finish()
    }
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// A change of the data. To apply it again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DataChange {
    pub(super) time: Timestamp,
    /// The SCRAM verifiers of new and changed users; `None` for users that were deleted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    users: BTreeMap<String, Option<String>>,
    /// Whether a database was created; otherwise it was dropped.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    databases: BTreeMap<String, bool>,
}

impl DataChange {
    fn between(before: &ClusterData, after: &ClusterData, time: Timestamp) -> Self {
        let deleted = before.users.keys().filter(|name| !after.users.contains_key(*name));
        let changed =
            after.users.iter().filter(|(name, verifier)| before.users.get(*name) != Some(*verifier));
        let users = deleted
            .map(|name| (name.clone(), None))
            .chain(changed.map(|(name, verifier)| (name.clone(), Some(verifier.clone()))));
        let dropped = before.databases.difference(&after.databases).map(|name| (name.clone(), false));
        let created = after.databases.difference(&before.databases).map(|name| (name.clone(), true));
        Self { time, users: users.collect(), databases: dropped.chain(created).collect() }
    }

    pub(super) fn apply(self, data: &mut ClusterData) {
        for (name, verifier) in self.users {
            match verifier {
                Some(verifier) => data.users.insert(name, verifier),
                None => data.users.remove(&name),
            };
        }
        for (name, is_created) in self.databases {
            match is_created {
                true => data.databases.insert(name),
                false => data.databases.remove(&name),
            };
        }
    }
}

impl ClusterDocument {
    /// Changes the data. Nothing changes if `change` fails.
    pub(super) fn change(
        &mut self,
        time: Timestamp,
        change: impl FnOnce(&mut ClusterData) -> Result<()>,
    ) -> Result<()> {
        let mut data = self.data.clone();
        change(&mut data)?;
        self.recent.push(DataChange::between(&self.data, &data, time));
        self.changes += 1;
        self.data = data;
        self.replicate();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(users: &[(&str, &str)], databases: &[&str]) -> ClusterData {
        let user = |(name, verifier): &(&str, &str)| ((*name).to_owned(), (*verifier).to_owned());
        ClusterData {
            users: users.iter().map(user).collect(),
            databases: databases.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn changes_lead_from_the_data_before_to_the_data_after() {
        let states = [
            data(&[("a", "1"), ("b", "1")], &["x"]),
            data(&[("a", "1"), ("b", "2")], &["x"]),
            data(&[("b", "2")], &["x", "y"]),
            data(&[], &["y"]),
            data(&[("a", "3")], &["x"]),
        ];
        for before in &states {
            for after in &states {
                let change = DataChange::between(before, after, Timestamp(7));
                let mut changed = before.clone();
                for _ in 0..2 {
                    change.clone().apply(&mut changed);
                    assert_eq!((&changed.users, &changed.databases), (&after.users, &after.databases));
                }
                let text = serde_json::to_string(&change).expect("encoded");
                assert_eq!(serde_json::from_str::<DataChange>(&text).expect("decoded"), change);
            }
        }
    }
}
