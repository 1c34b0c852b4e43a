//! What is left when the loops have come to rest: the laws that it keeps, and what can be compared with
//! another run. IDs, times, locations, and the months of usage differ between runs.

use super::world::{Subject, World};
use crate::{documents, metering::limit_status};
use ootheca_engine::Engine;
use ootheca_model::{
    Cluster, ClusterState, OrganizationId, Plan,
    audit::AuditEntry,
    instance::{Phase, Power},
    limit_status::limits,
    meter::{MIB, Meter, PeriodUsage, THRESHOLDS, percent},
    units::{MICRO, Quantities},
};
use ootheca_store::{AuditQuery, Event, Kind, Query, SampleRows, What, verify_audit};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The result of a run.
pub(super) struct Outcome {
    /// What another run with the same history must have too.
    pub(super) state: Value,
    pub(super) violations: Vec<String>,
    pub(super) trace: Vec<String>,
}

/// Checks the laws of a run that has ended. Without disturbances, all usage is recorded.
pub(super) async fn outcome(mut world: World) -> Outcome {
    world.finish().await;
    let mut clusters = Vec::new();
    for number in 0..world.subjects.len() {
        clusters.push(cluster(&world, number).await);
    }
    orphans(&world).await;
    let calls = audit(&world).await;
    events(&world).await;
    let state = json!({ "clusters": clusters, "calls": calls });
    Outcome { state, violations: world.schedule.violations(), trace: world.schedule.trace() }
}

async fn rows(world: &World, kind: Kind, subject: &Subject) -> Vec<ootheca_store::Row> {
    let query = Query { parent: Some(subject.id.to_string()), ..Query::all(kind) };
    world.truth.list(&query).await.expect("read")
}

/// The comparable state of a cluster.
async fn cluster(world: &World, number: usize) -> Value {
    let subject = &world.subjects[number];
    let law = |holds: bool, law: &str| {
        if !holds {
            world.schedule.violated(format!("cluster {number}: {law}"));
        }
    };
    let row = world.truth.get(Kind::Cluster, &subject.id.to_string()).await.expect("read").expect("a row");
    let cluster: Cluster = serde_json::from_str(&row.document).expect("a cluster");
    let phase = world.engine.inner.observe(subject.id).await.expect("observed").phase;
    let expected = match (cluster.is_active(), cluster.power) {
        (false, _) => Phase::Absent,
        (true, Power::On) => Phase::Ready,
        (true, Power::Off) => Phase::Suspended,
    };
    law(phase == expected, &format!("its instance is {phase:?} instead of {expected:?}"));
    law(
        cluster.is_active() != cluster.removed,
        "it is removed although it is active, or the other way round",
    );
    law(row.due_at.is_none(), "its row is still due");
    law(cluster.observed.generation == cluster.generation || !cluster.is_active(), "its plan is not applied");
    usage(world, number, law).await;
    let mut children = BTreeMap::new();
    for kind in [Kind::AllowlistEntry, Kind::SqlCatalog, Kind::Meter] {
        children.insert(kind.name(), rows(world, kind, subject).await.len());
    }
    if cluster.state == ClusterState::Deleted {
        let used = world.loops.metering().activity.used();
        law(!used.contains(&subject.id), "the activity of a deleted cluster is kept");
        let hours = rows(world, Kind::UsageHour, subject).await.len();
        law(hours == 0 && children.values().all(|count| *count == 0), "rows of a deleted cluster are left");
        let ids = [subject.id];
        let wanted = SampleRows {
            clusters: &ids,
            step_seconds: 10,
            from: ootheca_model::Timestamp(0),
            to: ootheca_model::Timestamp(i64::MAX),
        };
        let samples = world.truth.samples(&wanted).await.expect("read");
        law(samples.is_empty(), "samples of a deleted cluster are left");
    } else {
        status(world, &cluster, law).await;
    }
    let conditions = if cluster.is_active() { json!(cluster.observed.conditions) } else { Value::Null };
    json!({
        "name": subject.name,
        "state": cluster.state,
        "plan": cluster.plan,
        "power": if cluster.is_active() { json!(cluster.power) } else { Value::Null },
        "config": cluster.config,
        "generation": cluster.generation,
        "conditions": conditions,
        "allowlist": children.get(Kind::AllowlistEntry.name()),
        "stored_bytes": meter(world, subject).await.map(|meter| meter.last.storage_bytes),
    })
}

async fn meter(world: &World, subject: &Subject) -> Option<Meter> {
    let row = world.truth.get(Kind::Meter, &subject.id.to_string()).await.expect("read")?;
    Some(serde_json::from_str(&row.document).expect("a meter"))
}

/// Usage is recorded at most once, and completely except for what was not recorded yet when the server
/// stopped or the cluster was deleted. Meter, months, and hours agree.
async fn usage(world: &World, number: usize, law: impl Fn(bool, &str)) {
    let subject = &world.subjects[number];
    let (recorded, used) = (world.recorded(number).await, subject.used);
    let lost = subject.lost;
    let text = format!("recorded {recorded:?} of {used:?}; at most {lost:?} can be lost");
    law(recorded.0 <= used.0 && recorded.1 <= used.1, &format!("usage is counted twice: {text}"));
    law(recorded.0 + lost.0 >= used.0 && recorded.1 + lost.1 >= used.1, &format!("usage is lost: {text}"));
    let sum = async |kind| {
        let periods = rows(world, kind, subject).await;
        let used = periods.iter().map(|row| documents::read_period(row).expect("usage"));
        used.collect::<Vec<PeriodUsage>>()
    };
    let (months, hours) = (sum(Kind::UsageMonth).await, sum(Kind::UsageHour).await);
    if subject.deleted {
        return;
    }
    for month in months {
        let of_month = hours.iter().filter(|hour| hour.period.starts_with(&month.period));
        let mut total = Quantities::default();
        of_month.for_each(|hour| total += hour.used);
        law(total == month.used, &format!("the hours of {} do not add up", month.period));
        if let Some(meter) = meter(world, subject).await.filter(|meter| meter.month == month.period) {
            law(meter.used == month.used, "its meter differs from the month");
        }
    }
}

/// The loops see the same status of the limits as the store, and every threshold was reported.
async fn status(world: &World, cluster: &Cluster, law: impl Fn(bool, &str)) {
    let metering = world.loops.metering();
    let seen = limit_status::admission_state(metering, cluster).await.expect("a status");
    let row = world.truth.get(Kind::Meter, &cluster.id.to_string()).await.expect("read");
    let meter: Option<Meter> = row.map(|row| serde_json::from_str(&row.document).expect("a meter"));
    let now = metering.context.now();
    let status = ootheca_model::limit_status::limit_status(cluster, meter.as_ref(), now);
    let open = status == ootheca_model::limit_status::LimitStatus::Open;
    law((seen == ootheca_gateway::AdmissionState::Open) == open, "gateways see another limit status");
    let Some(meter) = meter.filter(|_| cluster.plan == Plan::Basic) else { return };
    let set = limits(cluster);
    let reached = |limit: Option<i64>, used: u64, unit: u64| {
        let share = limit.map_or(0, |limit| percent(used, limit, unit));
        THRESHOLDS.into_iter().rfind(|threshold| u64::from(*threshold) <= share).unwrap_or(0)
    };
    let is_current = |limit: Option<i64>, reported: ootheca_model::meter::ReportedThreshold| {
        limit.is_none() || reported.limit == limit.unwrap_or(0)
    };
    let request_units = reached(set.request_units, meter.used.request_units().total(), MICRO);
    let storage = reached(set.storage_mib, meter.last.storage_bytes, MIB);
    if is_current(set.request_units, meter.reported_request_units) {
        law(
            meter.reported_request_units.percent == request_units,
            "a threshold of request units is not reported",
        );
    }
    law(
        is_current(set.storage_mib, meter.reported_storage),
        "the limit of storage is not known to the meter",
    );
    law(meter.reported_storage.percent >= storage, "a threshold of storage is not reported");
}

/// The engine has no instances except those of active clusters.
async fn orphans(world: &World) {
    for id in world.engine.inner.list().await.expect("listed") {
        let known = world.subjects.iter().any(|subject| subject.id == id && !subject.deleted);
        if !known {
            world.schedule.violated("an instance is left that belongs to no active cluster".to_owned());
        }
    }
}

async fn organization(world: &World) -> OrganizationId {
    let rows = world.truth.list(&Query::all(Kind::Organization)).await.expect("read");
    rows.first().expect("an organization").organization
}

/// The calls in the audit log, which is whole. A threshold is reported at most once for each limit that was
/// set, and the deletion of an expired cluster once.
async fn audit(world: &World) -> Vec<Value> {
    let organization = organization(world).await;
    let query = AuditQuery { organization, starting_from: None, descending: false, limit: 100_000 };
    let entries = world.truth.audit(&query).await.expect("read");
    let check = verify_audit(&world.settings.store_url(), &[]).await.expect("verified");
    if !check.is_whole() {
        world.schedule.violated(format!("the audit log is not whole: {check:?}"));
    }
    let mut reported: BTreeMap<(String, String), u64> = BTreeMap::new();
    let of_server = |action: &str| {
        let entries = entries.iter().filter(|entry| entry.source == "INTERNAL");
        entries.filter(|entry| entry.action == action).collect::<Vec<&AuditEntry>>()
    };
    for entry in of_server("UPDATE_CLUSTER") {
        let id = entry.cluster.map(|id| id.to_string()).unwrap_or_default();
        *reported.entry((id, threshold(entry))).or_default() += 1;
    }
    for ((id, threshold), count) in reported {
        let subject = world.subjects.iter().find(|subject| subject.id.to_string() == id).expect("a cluster");
        let sets = subject.limits.iter().filter(|(request_units, storage_mib)| {
            [request_units, storage_mib].iter().any(|limit| threshold.contains(&format!(" of {limit} ")))
        });
        if count > u64::try_from(sets.count()).unwrap_or(0) {
            world.schedule.violated(format!("{count} audit entries for {threshold}"));
        }
    }
    let deleted = of_server("DELETE_CLUSTER");
    for subject in &world.subjects {
        let count = deleted.iter().filter(|entry| entry.cluster == Some(subject.id)).count();
        if count != usize::from(subject.expires) {
            world.schedule.violated(format!("{count} audit entries for the expiry of {}", subject.name));
        }
    }
    let calls = entries.iter().filter(|entry| entry.source != "INTERNAL");
    calls.map(|entry| json!([entry.action, entry.cluster_name, entry.error])).collect()
}

/// A threshold of a limit; for request units, in a month.
fn threshold(entry: &AuditEntry) -> String {
    let payload: Value = serde_json::from_str(&entry.payload).expect("a payload");
    let text = |name: &str| payload[name].as_str().unwrap_or_default().to_owned();
    let (limit, value) = (text("limit"), text("limit_value"));
    let month = match limit.as_str() {
        "request_unit_limit" => ootheca_model::period::month(entry.created_at),
        _ => String::new(),
    };
    format!("{limit} of {value} at {} % {month}", payload["threshold_percent"])
}

/// Events are numbered without gaps. A cluster is created once, and deleted at most once.
async fn events(world: &World) {
    let organization = organization(world).await;
    let events = world.truth.events(organization, 0, 100_000).await.expect("read");
    let numbers: Vec<i64> = events.iter().map(|event| event.sequence).collect();
    let count = i64::try_from(events.len()).unwrap_or(0);
    if numbers != (1..=count).collect::<Vec<_>>() {
        world.schedule.violated("events have gaps".to_owned());
    }
    for subject in &world.subjects {
        let of = |event: &&Event| event.kind == Kind::Cluster && event.id == subject.id.to_string();
        let times = |what| events.iter().filter(of).filter(|event| event.what == what).count();
        let expected = (1, usize::from(subject.deleted));
        let found = (times(What::Created), times(What::Deleted));
        if found != expected {
            world
                .schedule
                .violated(format!("{found:?} events of a creation and a deletion, not {expected:?}"));
        }
    }
}
