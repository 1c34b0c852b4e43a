//! Measures one cluster and records its usage in its meter, in the same batch as the counters that it was derived
//! from.

use crate::{
    documents::{self, Stored},
    ids::fresh_id,
    metering::{Metering, activity::Uncounted},
};
use ootheca_model::{
    Cluster, ClusterId, ClusterState, Error, Result, Timestamp,
    audit::AuditEntry,
    instance::Power,
    limit_status::{LimitStatus, limit_status, limits, too_many_roles},
    meter::{Crossing, Meter, PeriodUsage},
    period,
    units::Quantities,
    usage::{CpuCounter, Measure},
};
use ootheca_store::{Batch, Kind, Lease, Mutation, Query, Row};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long to wait for a server to respond. A server that hangs is measured again at the next tick.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The maximum CPU time that the measurement is assumed to cost, in microseconds. It is not recorded.
const MAX_MEASUREMENT_MICROS: u64 = 10_000;

/// Open sessions that used less CPU time than this since the last reading, and received no data, are not
/// measured.
const QUIET: u64 = 5_000;

/// How long a server process can take to end, and a gateway to report its session.
const SLACK: Duration = Duration::from_secs(2);

/// How long the usage of single hours is kept.
const HOURS_KEPT: Duration = Duration::from_secs(62 * 24 * 3600);

/// The maximum number of hours that are removed at once.
const REMOVED_AT_ONCE: usize = 100;

/// Records the usage of `cluster` since the last record. `used` is true if it had a session since then.
pub(super) async fn cluster(
    metering: &Metering,
    cluster: &Stored<Cluster>,
    stored: Option<Arc<Stored<Meter>>>,
    used: bool,
    lease: Lease,
) -> Result<()> {
    let model = &cluster.value;
    let ledger = Ledger { metering, cluster, stored, lease };
    if model.is_being_replaced() {
        // Its counters are about to be replaced.
        metering.cpu_samples.stopped(model.id);
        return ledger.new_month().await;
    }
    if !runs(model) {
        metering.cpu_samples.stopped(model.id);
        metering.samples.mark_suspended(model.id);
        return ledger.new_month().await;
    }
    let cpu = metering.context.engine.cpu(model.id).await?;
    metering.samples.note_cpu(model.id, &cpu, Instant::now());
    let idle = metering.cpu_samples.idle(model.id);
    let grown = metering.cpu_samples.note(model.id, &cpu, !used, Instant::now());
    let meter = ledger.stored.as_ref().map(|stored| &stored.value);
    let full = matches!(
        limit_status(model, meter, metering.context.now()),
        LimitStatus::StorageLimitExceeded { .. }
    ) || too_many_roles(meter).is_some();
    let late = !used && metering.cpu_samples.lately(model.id, lag(metering), Instant::now());
    if !used && !late && !full {
        return ledger.new_month().await;
    }
    let taken = metering.activity.take(model.id, meter.map(|meter| &meter.egress));
    let quiet = taken.sent == 0 && metering.activity.sessions(model.id) > 0;
    if quiet && !full && grown.is_some_and(|grown| grown < QUIET) {
        metering.activity.give_back(model.id, &taken);
        return ledger.new_month().await;
    }
    let phase = match (used || taken.used, late) {
        (true, _) => UsagePhase::Active,
        (_, true) => UsagePhase::Trailing,
        _ => UsagePhase::Idle,
    };
    let result = match measure(metering, model.id, cpu).await {
        Ok((measure, own)) => ledger.record_usage(measure, own, idle, phase, &taken).await,
        Err(error) => Err(error),
    };
    match &result {
        Ok(()) => metering.activity.metered(model.id, &taken),
        // The write may have taken effect nevertheless; the stored meter shows it.
        Err(_) => metering.activity.give_back(model.id, &taken),
    }
    result
}

/// How long to keep measuring after a session: until the tick after its server process, which the gateway
/// may keep in its pool, has written its counters.
fn lag(metering: &Metering) -> Duration {
    let (kept, tick) = (
        metering.context.settings.gateway.pool_idle_seconds,
        metering.context.settings.metering.tick_seconds,
    );
    Duration::from_secs(kept + tick.max(1)) + SLACK
}

/// How the usage since the last measurement is recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UsagePhase {
    /// There was a session.
    Active,
    /// There was a session just before: its counters can arrive late. Its CPU time is already recorded.
    Trailing,
    /// There was no session.
    Idle,
}

/// The current counters, and the CPU time of the measurement itself.
async fn measure(metering: &Metering, cluster: ClusterId, before: CpuCounter) -> Result<(Measure, u64)> {
    let late = |_| Error::unavailable("the SQL server does not respond");
    let mut measure =
        tokio::time::timeout(PATIENCE, metering.context.engine.measure(cluster)).await.map_err(late)??;
    measure.cpu = metering.context.engine.cpu(cluster).await?;
    let own = measure.cpu.since(&before).min(MAX_MEASUREMENT_MICROS);
    Ok((measure, own))
}

/// The stored usage of a cluster, and the authority to change it.
struct Ledger<'a> {
    metering: &'a Metering,
    cluster: &'a Stored<Cluster>,
    stored: Option<Arc<Stored<Meter>>>,
    lease: Lease,
}

impl Ledger<'_> {
    /// At the start of a month, the meter of a limited cluster is changed. This is the hint that the limit no
    /// longer applies.
    async fn new_month(&self) -> Result<()> {
        let Some(stored) = &self.stored else { return Ok(()) };
        let limited = limits(&self.cluster.value).request_units.is_some();
        let mut meter = stored.value.clone();
        if !limited || !meter.roll(self.metering.context.now()) {
            return Ok(());
        }
        let batch = Batch::server("meter").with(documents::update(&stored.row, &meter)?);
        self.commit(batch).await
    }

    /// Records the growth of the counters since the last record, or only stores the new counters.
    async fn record_usage(
        &self,
        mut measure: Measure,
        own: u64,
        idle: Option<CpuCounter>,
        phase: UsagePhase,
        taken: &Uncounted,
    ) -> Result<()> {
        let (model, now) = (&self.cluster.value, self.metering.context.now());
        let fresh = || Meter::new(model.id, model.organization, now);
        let mut meter = self.stored.as_ref().map_or_else(fresh, |stored| stored.value.clone());
        let mut before = meter.last.clone();
        let epoch = measure.cpu.epoch.clone();
        if phase == UsagePhase::Trailing {
            // It is not skipped either: a part can belong to a session that is not reported yet.
            measure.cpu = before.cpu.clone();
        }
        if let Some(idle) = idle.filter(|idle| idle.since(&before.cpu) > 0) {
            before.cpu = idle;
        }
        let mut growth = measure.since(&before);
        growth.cpu_micros = match phase {
            UsagePhase::Trailing => 0,
            UsagePhase::Active | UsagePhase::Idle => growth.cpu_micros.saturating_sub(own),
        };
        let quantities = match phase {
            UsagePhase::Idle => Quantities::default(),
            UsagePhase::Active | UsagePhase::Trailing => {
                meter.deduct_startup_cost(&epoch, &mut growth);
                Quantities::of(&growth, taken.sent)
            }
        };
        let unchanged =
            measure.storage_bytes == meter.last.storage_bytes && measure.roles == meter.last.roles;
        let nothing = quantities == Quantities::default() && unchanged;
        if self.stored.is_some() && phase != UsagePhase::Active && nothing {
            return self.new_month().await;
        }
        let storage_bytes = measure.storage_bytes;
        meter.record_usage(measure, quantities, now);
        meter.egress.clone_from(&taken.egress);
        let crossings = meter.crossings(model.plan, &limits(model));
        let mut batch = Batch::server("meter");
        batch.mutations.extend(match &self.stored {
            Some(stored) => vec![documents::update(&stored.row, &meter)?],
            // A cluster that is being deleted must not get a row that is never removed.
            None => vec![documents::touch(&self.cluster.row), documents::insert(&meter)?],
        });
        if quantities != Quantities::default() {
            let month = self.period(Kind::UsageMonth, period::month(now), quantities, now).await?;
            let hour = self.period(Kind::UsageHour, period::hour(now), quantities, now).await?;
            if matches!(hour, Mutation::Insert(_)) {
                batch.mutations.extend(self.old_hours(now).await?);
            }
            batch.mutations.extend([month, hour]);
        }
        batch.audit = crossings.iter().map(|crossing| entry(model, crossing, now)).collect();
        self.commit(batch).await?;
        self.metering.samples.record_usage(model.id, &growth, quantities, storage_bytes);
        for Crossing { limit_name, limit, used, threshold } in crossings {
            tracing::info!(cluster = %model.id, limit_name, limit, used, threshold, "usage passed a threshold of a limit");
        }
        Ok(())
    }

    async fn commit(&self, mut batch: Batch) -> Result<()> {
        batch.fence = Some(self.lease.clone());
        self.metering.context.store.commit(batch, self.metering.context.now()).await.map(|_| ())
    }

    /// Adds usage to a month or an hour.
    async fn period(&self, kind: Kind, period: String, more: Quantities, now: Timestamp) -> Result<Mutation> {
        let id = format!("{}/{period}", self.cluster.value.id);
        let Some(row) = self.metering.context.store.get(kind, &id).await? else {
            let (cluster, organization) = (self.cluster.value.id, self.cluster.value.organization);
            let usage = PeriodUsage { cluster, organization, period, created_at: now, used: more };
            return Ok(Mutation::Insert(documents::period(kind, &usage)?));
        };
        let mut usage = documents::read_period(&row)?;
        usage.used += more;
        Ok(Mutation::Update(Row { revision: row.revision, ..documents::period(kind, &usage)? }))
    }

    /// Removes a limited number of hours that are too old.
    async fn old_hours(&self, now: Timestamp) -> Result<Vec<Mutation>> {
        let parent = Some(self.cluster.value.id.to_string());
        let query = Query { parent, limit: REMOVED_AT_ONCE, ..Query::all(Kind::UsageHour) };
        let oldest = period::hour(Timestamp(now.0.saturating_sub(micros(HOURS_KEPT))));
        let rows = self.metering.context.store.list(&query).await?;
        Ok(rows.iter().filter(|row| row.sort_key < oldest).map(documents::delete).collect())
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The audit entry of a threshold. Its action is the most similar one in the official API.
fn entry(cluster: &Cluster, crossing: &Crossing, now: Timestamp) -> AuditEntry {
    let payload = serde_json::json!({
        "limit": crossing.limit_name,
        "limit_value": crossing.limit.to_string(),
        "usage": crossing.used.to_string(),
        "threshold_percent": crossing.threshold,
    });
    AuditEntry::internal([fresh_id(), fresh_id()], cluster, "UPDATE_CLUSTER", payload.to_string(), now)
}

/// Whether the cluster should have a running server.
fn runs(cluster: &Cluster) -> bool {
    let made = matches!(cluster.state, ClusterState::Created | ClusterState::Locked);
    made && cluster.power == Power::On
}
