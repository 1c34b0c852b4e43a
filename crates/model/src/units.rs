//! Request units, and how they are computed from a server's counters.
//!
//! Sums consist of whole quantities, such as bytes and batches. Request units are only computed from sums, so
//! that rounding errors do not accumulate.

use crate::usage::Growth;
use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

/// Millionths of a request unit.
pub const MICRO: u64 = 1_000_000;

/// The number of times that each write counts, as for three replicas.
pub const REPLICAS: u64 = 3;

/// The maximum number of index entries that are assumed for a row, because vacuum and similar tasks write
/// records of their own.
const ENTRIES: u64 = 11;

/// The number of records in an interval that are not charged without rows, because vacuum and similar tasks
/// write records even while clients only read.
const UPKEEP: u64 = 1_000;

/// The catalog blocks that each new session reads in its own transaction. The reference implementation does
/// not count them.
const OPENING_BLOCKS: u64 = 35;

const BLOCK: u64 = 8192;

/// The usage in its original units. Writes are counted once for each replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quantities {
    /// CPU time in microseconds.
    pub cpu_micros: u64,
    /// Bytes sent to clients.
    pub egress_bytes: u64,
    /// Transactions that read rows.
    pub read_batches: u64,
    /// Index lookups, at most one for each block and at least one for each batch.
    pub read_requests: u64,
    /// The size of the blocks that were read.
    pub read_bytes: u64,
    /// Transactions that wrote, for each index entry of a row.
    pub write_batches: u64,
    /// Rows and the entries of their secondary indexes.
    pub write_requests: u64,
    /// Bytes of the write-ahead log.
    pub write_bytes: u64,
}

/// Request units in millionths, by component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestUnits {
    /// One request unit for 3 ms of CPU time.
    pub cpu: u64,
    /// One for 1 KiB.
    pub egress: u64,
    /// One for two.
    pub read_batches: u64,
    /// One for eight.
    pub read_requests: u64,
    /// One for 64 KiB.
    pub read_bytes: u64,
    /// One for each.
    pub write_batches: u64,
    /// One for each.
    pub write_requests: u64,
    /// One for 1 KiB.
    pub write_bytes: u64,
}

impl Quantities {
    /// Computes the usage from the growth of a server's counters and the bytes sent to clients.
    ///
    /// PostgreSQL does not count batches and index entries, so they are inferred. Each row, each index entry,
    /// and each commit is a record of the write-ahead log. The records that are neither rows nor commits are
    /// therefore index entries. One index entry of each row belongs to the primary key, which is the row
    /// itself. The number of writing transactions is not counted either. It is assumed to be the number of
    /// all transactions, but at most one for each row.
    ///
    /// The counters of a dropped database are lost, but not its share of the write-ahead log. Records that
    /// cannot be explained by rows, beyond those of background tasks, count as entries.
    pub fn of(growth: &Growth, egress_bytes: u64) -> Self {
        let transactions = growth.transactions.saturating_sub(growth.sessions);
        let blocks = growth.blocks_read.saturating_sub(growth.sessions.saturating_mul(OPENING_BLOCKS));
        let read_batches = transactions.min(growth.tuples_returned.saturating_add(growth.tuples_fetched));
        let rows = growth.tuples_written;
        let writers = transactions.min(rows);
        let entries = growth.wal_records.saturating_sub(rows).saturating_sub(writers);
        let entries = entries.min(rows.saturating_mul(ENTRIES)).max(rows);
        let hidden = hidden(growth);
        let batches = if rows == 0 { 0 } else { scaled(writers, entries, rows) };
        // Without rows and hidden records, the tenant caused no writes. A checkpoint, for example, also
        // writes to the log.
        let bytes = if rows == 0 && hidden == 0 { 0 } else { growth.wal_bytes };
        let entries = entries.saturating_add(hidden);
        Self {
            cpu_micros: growth.cpu_micros,
            egress_bytes,
            read_batches,
            read_requests: growth.tuples_fetched.min(blocks).max(read_batches),
            read_bytes: blocks.saturating_mul(BLOCK),
            write_batches: batches.saturating_mul(REPLICAS),
            write_requests: entries.saturating_mul(REPLICAS),
            write_bytes: bytes.saturating_mul(REPLICAS),
        }
    }

    /// Converts the quantities to request units.
    pub fn request_units(&self) -> RequestUnits {
        RequestUnits {
            cpu: scaled(self.cpu_micros, MICRO, 3_000),
            egress: scaled(self.egress_bytes, MICRO, 1 << 10),
            read_batches: scaled(self.read_batches, MICRO, 2),
            read_requests: scaled(self.read_requests, MICRO, 8),
            read_bytes: scaled(self.read_bytes, MICRO, 64 << 10),
            write_batches: scaled(self.write_batches, MICRO, 1),
            write_requests: scaled(self.write_requests, MICRO, 1),
            write_bytes: scaled(self.write_bytes, MICRO, 1 << 10),
        }
    }
}

impl AddAssign for Quantities {
    fn add_assign(&mut self, more: Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.cpu_micros, more.cpu_micros);
        add(&mut self.egress_bytes, more.egress_bytes);
        add(&mut self.read_batches, more.read_batches);
        add(&mut self.read_requests, more.read_requests);
        add(&mut self.read_bytes, more.read_bytes);
        add(&mut self.write_batches, more.write_batches);
        add(&mut self.write_requests, more.write_requests);
        add(&mut self.write_bytes, more.write_bytes);
    }
}

impl RequestUnits {
    /// The components with their names.
    pub fn components(&self) -> [(&'static str, u64); 8] {
        [
            ("cpu", self.cpu),
            ("egress", self.egress),
            ("read_batches", self.read_batches),
            ("read_requests", self.read_requests),
            ("read_bytes", self.read_bytes),
            ("write_batches", self.write_batches),
            ("write_requests", self.write_requests),
            ("write_bytes", self.write_bytes),
        ]
    }

    /// The sum of all components, in millionths.
    pub fn total(&self) -> u64 {
        self.components().iter().fold(0, |sum, (_, part)| sum.saturating_add(*part))
    }
}

/// Records that cannot be explained by rows, transactions, or background tasks: those of a database that was
/// dropped.
pub fn hidden(growth: &Growth) -> u64 {
    let records = growth.wal_records.saturating_sub(growth.wal_images);
    let entries = growth.tuples_written.saturating_mul(1 + ENTRIES);
    records.saturating_sub(entries.saturating_add(growth.transactions)).saturating_sub(UPKEEP)
}

/// Returns `amount × numerator ÷ denominator`, rounded down and saturating.
fn scaled(amount: u64, numerator: u64, denominator: u64) -> u64 {
    let exact = u128::from(amount) * u128::from(numerator) / u128::from(denominator.max(1));
    u64::try_from(exact).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(growth: Growth, egress: u64) -> f64 {
        Quantities::of(&growth, egress).request_units().total() as f64 / MICRO as f64
    }

    fn near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 0.005, "{found} is not {wanted}");
    }

    #[test]
    fn the_documented_example_is_computed_correctly() {
        // One row of 1 KiB with one secondary index: 1.5 ms, 50 bytes, and 2 KiB of log in 4 records.
        let growth = Growth {
            cpu_micros: 1500,
            transactions: 1,
            tuples_written: 1,
            wal_records: 4,
            wal_bytes: 2048,
            ..Growth::default()
        };
        near(total(growth, 51), 0.5 + 0.05 + 6.0 + 6.0 + 6.0);
    }

    #[test]
    fn each_secondary_index_adds_one_write_request() {
        let requests = |records| {
            let growth =
                Growth { transactions: 5, tuples_written: 5, wal_records: records, ..Growth::default() };
            let quantities = Quantities::of(&growth, 0);
            (quantities.write_batches, quantities.write_requests)
        };
        assert_eq!(requests(10), (15, 15), "no index at all");
        assert_eq!(requests(15), (15, 15), "the primary key");
        assert_eq!(requests(20), (30, 30), "one more index");
        assert_eq!(requests(25), (45, 45), "two more");
    }

    #[test]
    fn many_rows_in_one_transaction_are_one_batch() {
        let growth = Growth { transactions: 1, tuples_written: 100, wal_records: 201, ..Growth::default() };
        let quantities = Quantities::of(&growth, 0);
        assert_eq!((quantities.write_batches, quantities.write_requests), (3, 300));
    }

    #[test]
    fn reads_are_counted_by_batch_request_and_size() {
        let point = Growth {
            transactions: 1,
            tuples_returned: 1,
            tuples_fetched: 1,
            blocks_read: 3,
            ..Growth::default()
        };
        near(total(point, 64), 0.5 + 0.125 + 0.375 + 0.0625);
        let scan = Growth { transactions: 1, tuples_returned: 1000, blocks_read: 143, ..Growth::default() };
        near(total(scan, 0), 0.5 + 0.125 + 143.0 / 8.0);
        let nothing = Growth { transactions: 1, cpu_micros: 60, ..Growth::default() };
        near(total(nothing, 100), 0.02 + 0.0977);
    }

    #[test]
    fn catalog_reads_of_new_sessions_are_not_charged() {
        let opening = Growth {
            sessions: 1,
            transactions: 2,
            tuples_returned: 60,
            tuples_fetched: 15,
            blocks_read: 36,
            ..Growth::default()
        };
        near(total(opening, 0), 0.5 + 0.125 + 0.125);
    }

    #[test]
    fn background_writes_are_not_charged() {
        let checkpoint = Growth { wal_records: 3, wal_bytes: 300, ..Growth::default() };
        let quantities = Quantities::of(&checkpoint, 0);
        assert_eq!(quantities, Quantities::default());
        let vacuum = Growth { wal_records: 1334, wal_images: 400, wal_bytes: 90_000, ..Growth::default() };
        assert_eq!(Quantities::of(&Growth { transactions: 40, ..vacuum }, 0).write_bytes, 0);
    }

    #[test]
    fn writes_to_a_dropped_database_are_charged_by_log_records() {
        // A database that was created, filled with 100,000 rows, and dropped. Only the log shows it.
        let hidden =
            Growth { wal_records: 101_262, wal_images: 915, wal_bytes: 5_900_000, ..Growth::default() };
        let quantities = Quantities::of(&hidden, 0);
        assert_eq!(quantities.write_requests, 3 * (101_262 - 915 - UPKEEP));
        assert_eq!(quantities.write_bytes, 3 * 5_900_000);
        let beside = Growth { transactions: 2, tuples_written: 2, ..hidden };
        let quantities = Quantities::of(&beside, 0);
        assert!(quantities.write_requests > 3 * 99_000, "a row beside it hides nothing: {quantities:?}");
    }
}
