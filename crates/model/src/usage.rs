//! The usage of a cluster: the counters of its server, and their growth between two measurements.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, ops::AddAssign};

/// CPU time of all processes of an instance. It only increases until its epoch changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuCounter {
    /// Identifies the run of the server. A new epoch starts at zero.
    pub epoch: String,
    pub micros: u64,
}

/// The counters that the SQL server has for a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseCounters {
    /// Sessions that started, each with its own server process.
    pub sessions: u64,
    /// Transactions that ended.
    pub transactions: u64,
    /// Microseconds in which sessions executed statements.
    pub active_micros: u64,
    /// Rows and index entries that scans returned.
    pub tuples_returned: u64,
    /// Rows that were looked up through an index.
    pub tuples_fetched: u64,
    /// Rows that were inserted, updated, or deleted.
    pub tuples_written: u64,
    /// Blocks of 8 KiB that were read, from memory or disk.
    pub blocks_read: u64,
}

/// The counters that the SQL server has for its tenant's databases and its write-ahead log.
///
/// The counters of an epoch only increase, with one exception: those of a dropped database disappear, so a
/// sum can decrease. Therefore the growth is computed for each database, and that of a dropped database is
/// not counted. A new epoch starts at zero.
///
/// A session reports at the end of a transaction, at most once a second, and at the latest ten seconds after
/// it became idle. So the counters lag behind, and what was not reported before a crash is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlCounters {
    /// When the counters started. They survive a clean shutdown and are reset after a crash.
    pub epoch: String,
    /// Sessions that started, each with its own server process.
    #[serde(default)]
    pub sessions: u64,
    /// Transactions that ended.
    pub transactions: u64,
    /// Microseconds in which sessions executed statements.
    #[serde(default)]
    pub active_micros: u64,
    /// Rows and index entries that scans returned.
    pub tuples_returned: u64,
    /// Rows that were looked up through an index.
    pub tuples_fetched: u64,
    /// Rows that were inserted, updated, or deleted.
    pub tuples_written: u64,
    /// Blocks of 8 KiB that were read, from memory or disk.
    pub blocks_read: u64,
    /// Records of the write-ahead log.
    pub wal_records: u64,
    /// Full-page images in the write-ahead log.
    #[serde(default)]
    pub wal_images: u64,
    /// Bytes of the write-ahead log, without full-page images. The value can be lower after a restart of the
    /// engine.
    pub wal_bytes: u64,
    /// The counters of each database by its oid. The sums are above. Empty if there are too many databases,
    /// and in data of older releases.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub databases: BTreeMap<u32, DatabaseCounters>,
}

/// A measurement of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    pub cpu: CpuCounter,
    /// The server's counters.
    pub sql: SqlCounters,
    /// The size of the tenant's data on disk in bytes, without that of an empty cluster.
    pub storage_bytes: u64,
    /// The number of SQL roles, including the predefined ones.
    #[serde(default)]
    pub roles: u64,
}

/// The growth of an instance's counters between two measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// CPU time in microseconds.
    pub cpu_micros: u64,
    /// Sessions that started.
    pub sessions: u64,
    /// Transactions that ended.
    pub transactions: u64,
    /// Microseconds in which sessions executed statements.
    pub active_micros: u64,
    /// Rows and index entries that scans returned.
    pub tuples_returned: u64,
    /// Rows that were looked up through an index.
    pub tuples_fetched: u64,
    /// Rows that were inserted, updated, or deleted.
    pub tuples_written: u64,
    /// Blocks of 8 KiB that were read.
    pub blocks_read: u64,
    /// Records of the write-ahead log.
    pub wal_records: u64,
    /// Full-page images in the write-ahead log.
    pub wal_images: u64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
}

impl CpuCounter {
    /// Microseconds since `before`, or all of them if `before` belongs to another run of the server.
    pub fn since(&self, before: &Self) -> u64 {
        if self.epoch == before.epoch { self.micros.saturating_sub(before.micros) } else { self.micros }
    }
}

impl DatabaseCounters {
    /// The growth of each counter; zero if it decreased.
    fn since(&self, old: &Self) -> Self {
        Self {
            sessions: self.sessions.saturating_sub(old.sessions),
            transactions: self.transactions.saturating_sub(old.transactions),
            active_micros: self.active_micros.saturating_sub(old.active_micros),
            tuples_returned: self.tuples_returned.saturating_sub(old.tuples_returned),
            tuples_fetched: self.tuples_fetched.saturating_sub(old.tuples_fetched),
            tuples_written: self.tuples_written.saturating_sub(old.tuples_written),
            blocks_read: self.blocks_read.saturating_sub(old.blocks_read),
        }
    }
}

impl AddAssign for DatabaseCounters {
    fn add_assign(&mut self, more: Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.sessions, more.sessions);
        add(&mut self.transactions, more.transactions);
        add(&mut self.active_micros, more.active_micros);
        add(&mut self.tuples_returned, more.tuples_returned);
        add(&mut self.tuples_fetched, more.tuples_fetched);
        add(&mut self.tuples_written, more.tuples_written);
        add(&mut self.blocks_read, more.blocks_read);
    }
}

impl SqlCounters {
    fn sums(&self) -> DatabaseCounters {
        DatabaseCounters {
            sessions: self.sessions,
            transactions: self.transactions,
            active_micros: self.active_micros,
            tuples_returned: self.tuples_returned,
            tuples_fetched: self.tuples_fetched,
            tuples_written: self.tuples_written,
            blocks_read: self.blocks_read,
        }
    }

    /// The growth of the databases that both measurements contain.
    fn databases_since(&self, old: &Self) -> DatabaseCounters {
        if self.databases.is_empty() || old.databases.is_empty() {
            return self.sums().since(&old.sums());
        }
        let mut grown = DatabaseCounters::default();
        for (number, database) in &self.databases {
            grown += database.since(&old.databases.get(number).copied().unwrap_or_default());
        }
        grown
    }
}

impl Measure {
    /// The growth since `before`. Counters of another epoch, and those of a new database, started at zero. A
    /// dropped database counts as zero.
    pub fn since(&self, before: &Self) -> Growth {
        let nothing = SqlCounters::default();
        let (now, old) = (&self.sql, if self.sql.epoch == before.sql.epoch { &before.sql } else { &nothing });
        let grown = now.databases_since(old);
        Growth {
            cpu_micros: self.cpu.since(&before.cpu),
            sessions: grown.sessions,
            transactions: grown.transactions,
            active_micros: grown.active_micros,
            tuples_returned: grown.tuples_returned,
            tuples_fetched: grown.tuples_fetched,
            tuples_written: grown.tuples_written,
            blocks_read: grown.blocks_read,
            wal_records: now.wal_records.saturating_sub(old.wal_records),
            wal_images: now.wal_images.saturating_sub(old.wal_images),
            wal_bytes: now.wal_bytes.saturating_sub(old.wal_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A measurement with databases that wrote the given numbers of rows.
    fn look(databases: &[(u32, u64)]) -> Measure {
        let database = |rows| DatabaseCounters { tuples_written: rows, ..DatabaseCounters::default() };
        let sql = SqlCounters {
            tuples_written: databases.iter().map(|(_, rows)| rows).sum(),
            databases: databases.iter().map(|(number, rows)| (*number, database(*rows))).collect(),
            ..SqlCounters::default()
        };
        Measure { sql, ..Measure::default() }
    }

    #[test]
    fn a_dropped_database_does_not_hide_growth_of_others() {
        let before = look(&[(1, 10), (2, 1000)]);
        assert_eq!(look(&[(1, 17)]).since(&before).tuples_written, 7);
        assert_eq!(look(&[(1, 10), (3, 5)]).since(&before).tuples_written, 5, "a new one began at zero");
    }

    #[test]
    fn counters_of_an_older_release_are_sums() {
        let text = r#"{"cpu":{"epoch":"1","micros":5},"storage_bytes":0,"sql":{"epoch":"","transactions":1,
            "tuples_returned":0,"tuples_fetched":0,"tuples_written":10,"blocks_read":0,"wal_records":0,
            "wal_bytes":0}}"#;
        let before: Measure = serde_json::from_str(text).unwrap();
        assert_eq!(look(&[(1, 8), (2, 9)]).since(&before).tuples_written, 7);
    }
}
