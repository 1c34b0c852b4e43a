//! Measures what an instance uses: CPU time from the kernel, everything else from the server's own counters.

use super::{
    control_session::{ControlSession, Select},
    instance::{Instance, Stage},
    process::{self, Process},
    server::not_ready,
    storage::StorageCount,
};
use crate::files::{blocking, failed};
use ootheca_model::{
    Error, Result,
    usage::{CpuCounter, DatabaseCounters, Measure, SqlCounters},
};
use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, LazyLock},
};
use tokio_postgres::Row;

const PAGE: u64 = 8192;

/// With more databases than this, only their sums are returned, to bound the memory for each cluster.
const MAX_DATABASES: usize = 250;

/// Filters the databases of the tenant by name, because tenants can mark databases as templates.
const MEASURE: &str = "
WITH used AS (
    SELECT datid::bigint AS number, sessions, xact_commit + xact_rollback AS transactions,
        (active_time * 1000)::bigint AS active, tup_returned AS returned, tup_fetched AS fetched,
        tup_inserted + tup_updated + tup_deleted AS written, blks_hit + blks_read AS blocks
    FROM pg_stat_database WHERE datname NOT IN ('postgres', 'template0', 'template1')
), listed AS (
    SELECT array_agg(number) AS number, array_agg(sessions) AS sessions,
        array_agg(transactions) AS transactions, array_agg(active) AS active, array_agg(returned) AS returned,
        array_agg(fetched) AS fetched, array_agg(written) AS written, array_agg(blocks) AS blocks
    FROM used
)
SELECT (extract(epoch FROM w.stats_reset) * 1000000)::bigint::text, w.wal_records, w.wal_bytes::bigint,
    w.wal_fpi, d.oid::bigint, u.number, u.sessions, u.transactions, u.active, u.returned, u.fetched, u.written, u.blocks,
    (SELECT count(*) FROM pg_authid)
FROM listed u, pg_database d, pg_stat_wal w WHERE d.datname = 'template0'";

/// The session that reads the counters of an instance.
#[derive(Debug, Default)]
pub(super) struct Meter {
    session: ControlSession,
    log: parking_lot::Mutex<WalBytes>,
    storage: parking_lot::Mutex<StorageCount>,
}

impl Meter {
    /// Closes the session.
    pub(super) fn close(&self) {
        self.session.close();
    }
}

/// Counts the bytes of the write-ahead log without full-page images, whose bytes the server does not report
/// separately. Each image counts as a full page, although the server omits its free space. To keep this error
/// from hiding bytes of other periods, the difference is computed for each interval.
#[derive(Clone, Debug, Default)]
struct WalBytes {
    epoch: String,
    bytes: u64,
    images: u64,
    total: u64,
}

impl WalBytes {
    fn update(&mut self, epoch: &str, bytes: u64, images: u64) -> u64 {
        if self.epoch != epoch {
            *self = Self { epoch: epoch.to_owned(), ..Self::default() };
        }
        let grown = bytes.saturating_sub(self.bytes);
        let images_grown = images.saturating_sub(self.images);
        self.total += grown.saturating_sub(images_grown * PAGE);
        (self.bytes, self.images) = (bytes, images);
        self.total
    }
}

/// The session of an instance that reads its counters.
pub(super) const SESSION: Select = |instance| &instance.meter.session;

impl Instance {
    /// CPU time of this run of the server. `Unavailable` unless the server is ready.
    pub(super) fn cpu(&self) -> Result<CpuCounter> {
        let (process, counted) = {
            let state = self.state.borrow();
            let ready = state.process.clone().filter(|_| state.stage == Stage::Ready);
            (ready, state.counted)
        };
        let process = process.ok_or_else(not_ready)?;
        // Not known yet in a server that was adopted just now.
        let counted = counted.ok_or_else(not_ready)?;
        let micros = if counted { self.context.cgroups.used(&self.id) } else { process::used(process.pid) };
        Ok(CpuCounter { epoch: epoch(&process), micros: micros.ok_or_else(not_ready)? })
    }

    /// Reads all counters. `Unavailable` unless the server is ready.
    pub(super) async fn measure(self: &Arc<Self>) -> Result<Measure> {
        let read = ControlSession::run(self, SESSION, async |session| {
            let rows = session.query(MEASURE, &[], &[]).await.map_err(|error| {
                Error::unavailable("cannot read the counters of the SQL server").because(error)
            })?;
            let unexpected = || Error::internal("the SQL server returned unexpected counters");
            let row = rows.first().ok_or_else(unexpected)?;
            read(row, &mut self.meter.log.lock()).map_err(|error| unexpected().because(error))
        });
        let (mut sql, template, roles) = read.await?;
        // Nodes are copies of one template, so the counters of two of them can have started at the same time.
        if !self.node().is_first() {
            sql.epoch = format!("{} {}", sql.epoch, self.node());
        }
        let recent = self.meter.storage.lock().recent();
        let storage_bytes = match recent {
            Some(bytes) => bytes,
            None => {
                let (data, spool) = (self.data(), self.spool());
                let count =
                    move || StorageCount::count(&data, &spool, template).map_err(failed("count", &data));
                let (bytes, counted) = blocking(count).await?;
                *self.meter.storage.lock() = counted;
                bytes
            }
        };
        Ok(Measure { cpu: self.cpu()?, sql, storage_bytes, roles })
    }
}

/// The counters, the oid of the database `template0`, and the number of roles.
fn read(row: &Row, log: &mut WalBytes) -> Result<(SqlCounters, u32, u64), tokio_postgres::Error> {
    let count = |at: usize| row.try_get::<_, i64>(at).map(unsigned);
    let epoch: String = row.try_get(0)?;
    let (databases, sum) = databases(row)?;
    let wal_images = count(3)?;
    let counters = SqlCounters {
        sessions: sum.sessions,
        transactions: sum.transactions,
        active_micros: sum.active_micros,
        tuples_returned: sum.tuples_returned,
        tuples_fetched: sum.tuples_fetched,
        tuples_written: sum.tuples_written,
        blocks_read: sum.blocks_read,
        wal_records: count(1)?,
        wal_images,
        wal_bytes: log.update(&epoch, count(2)?, wal_images),
        databases: if databases.len() > MAX_DATABASES { BTreeMap::new() } else { databases },
        epoch,
    };
    Ok((counters, u32::try_from(count(4)?).unwrap_or(0), count(13)?))
}

/// The counters of each database, and their sums.
fn databases(
    row: &Row,
) -> Result<(BTreeMap<u32, DatabaseCounters>, DatabaseCounters), tokio_postgres::Error> {
    let list = |at: usize| row.try_get::<_, Option<Vec<i64>>>(at).map(Option::unwrap_or_default);
    let numbers = list(5)?;
    let counts = (6..13).map(list).collect::<Result<Vec<_>, _>>()?;
    let (mut databases, mut sum) = (BTreeMap::new(), DatabaseCounters::default());
    for (at, number) in numbers.iter().enumerate() {
        let count = |list: usize| counts.get(list).and_then(|list| list.get(at)).copied().map_or(0, unsigned);
        let counters = DatabaseCounters {
            sessions: count(0),
            transactions: count(1),
            active_micros: count(2),
            tuples_returned: count(3),
            tuples_fetched: count(4),
            tuples_written: count(5),
            blocks_read: count(6),
        };
        sum += counters;
        databases.insert(u32::try_from(*number).unwrap_or_default(), counters);
    }
    Ok((databases, sum))
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// Identifies a run of a server. A process ID and a start time are unique until the machine reboots.
fn epoch(process: &Process) -> String {
    static BOOT: LazyLock<String> =
        LazyLock::new(|| fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default());
    format!("{}-{}-{}", BOOT.split('-').next().unwrap_or_default(), process.pid, process.began)
}

#[cfg(test)]
mod tests {
    use super::WalBytes;

    #[test]
    fn page_images_of_one_interval_do_not_hide_bytes_of_another() {
        let mut log = WalBytes::default();
        assert_eq!(log.update("a", 20_000, 2), 20_000 - 2 * 8192);
        assert_eq!(log.update("a", 30_000, 10), 3616, "images are smaller than pages");
        assert_eq!(log.update("a", 31_000, 10), 4616);
        assert_eq!(log.update("b", 500, 0), 500);
    }
}
