//! What a cluster uses: the counters of its server, and what they grew by between two looks.

use serde::{Deserialize, Serialize};

/// CPU time of all processes of an instance. Grows only, until its epoch changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuCounter {
    /// Names the run of the server that the counter belongs to. Another epoch begins at zero.
    pub epoch: String,
    /// Microseconds.
    pub micros: u64,
}

/// What the SQL server counts of its tenant's databases, and of its write-ahead log.
///
/// The counters of one epoch grow, with one exception: a dropped database takes its own with it, so
/// a sum may shrink. Take what a counter grew by, nothing where it shrank (`saturating_sub`), and
/// remember the new value either way: then nothing is counted twice and nothing negative, and only
/// what went on beside the drop since the last look is lost. In another epoch they began at zero.
///
/// A session reports at the end of a transaction, at most once a second, and ten seconds after it
/// fell idle at the latest; so the counters lag behind, and what a crash forgets was never counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlCounters {
    /// When the counters began. They survive an orderly stop, and begin anew after a crash.
    pub epoch: String,
    /// Sessions that began, each with a server process of its own.
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
    /// Rows that were inserted, updated or deleted.
    pub tuples_written: u64,
    /// Blocks of 8 KiB that were read, from memory or disk.
    pub blocks_read: u64,
    /// Records of the write-ahead log.
    pub wal_records: u64,
    /// Bytes of the write-ahead log, without images of full pages. An engine that was started anew may
    /// forget some that it showed.
    pub wal_bytes: u64,
}

/// A look at an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// CPU.
    pub cpu: CpuCounter,
    /// The server's own counters.
    pub sql: SqlCounters,
    /// Bytes of the tenant's data on disk, beyond what an empty cluster has.
    pub storage_bytes: u64,
}

/// What the counters of an instance grew by between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Microseconds of CPU.
    pub cpu_micros: u64,
    /// Sessions that began.
    pub sessions: u64,
    /// Transactions that ended.
    pub transactions: u64,
    /// Microseconds in which sessions executed statements.
    pub active_micros: u64,
    /// Rows and index entries that scans returned.
    pub tuples_returned: u64,
    /// Rows that were looked up through an index.
    pub tuples_fetched: u64,
    /// Rows that were inserted, updated or deleted.
    pub tuples_written: u64,
    /// Blocks of 8 KiB that were read.
    pub blocks_read: u64,
    /// Records of the write-ahead log.
    pub wal_records: u64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
}

impl CpuCounter {
    /// Microseconds since `before`: all of them, if that was another run of the server.
    pub fn since(&self, before: &Self) -> u64 {
        if self.epoch == before.epoch { self.micros.saturating_sub(before.micros) } else { self.micros }
    }
}

impl Measure {
    /// What grew since `before`. Counters of another epoch began at zero. One that shrank within its
    /// epoch lost a part, such as a database that was dropped: it counts nothing.
    pub fn since(&self, before: &Self) -> Growth {
        let nothing = SqlCounters::default();
        let (now, old) = (&self.sql, if self.sql.epoch == before.sql.epoch { &before.sql } else { &nothing });
        Growth {
            cpu_micros: self.cpu.since(&before.cpu),
            sessions: now.sessions.saturating_sub(old.sessions),
            transactions: now.transactions.saturating_sub(old.transactions),
            active_micros: now.active_micros.saturating_sub(old.active_micros),
            tuples_returned: now.tuples_returned.saturating_sub(old.tuples_returned),
            tuples_fetched: now.tuples_fetched.saturating_sub(old.tuples_fetched),
            tuples_written: now.tuples_written.saturating_sub(old.tuples_written),
            blocks_read: now.blocks_read.saturating_sub(old.blocks_read),
            wal_records: now.wal_records.saturating_sub(old.wal_records),
            wal_bytes: now.wal_bytes.saturating_sub(old.wal_bytes),
        }
    }
}
