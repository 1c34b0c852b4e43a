//! Metrics for Prometheus, in the OpenMetrics text format.
//!
//! Nothing is stored here: each request collects the values of the other parts into a new registry. A caller
//! only gets the clusters of its organization, and the metrics of the process.

use crate::{
    api::Api,
    documents,
    gateway::embedded::EmbeddedGateway,
    http::{listener, tls::Tls},
    identity::authenticate::{Credentials, identify},
    lifecycle::backup::Counts,
    logging,
    metering::timeseries::buffer::Totals,
    settings::Settings,
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
    routing::get,
};
use ootheca_gateway::{Histogram, Snapshot};
use ootheca_model::{
    Cluster, ClusterId, Error, OrganizationId, Result, Role, Timestamp,
    identity::{Requirement, Target, authorize},
    instance::{Condition, Node, Power},
    meter::Meter,
    node::NodeId,
    units::MICRO,
};
use ootheca_store::{Kind, Query};
use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet, text::encode},
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::{net::TcpListener, sync::watch};

/// The content type of [`text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The roles that can read the metrics of every cluster of the organization.
pub(crate) const READERS: &[Role] = &[
    Role::OrgAdmin,
    Role::ClusterAdmin,
    Role::ClusterOperatorWriter,
    Role::ClusterDeveloper,
    Role::ClusterMonitor,
    Role::MetricsViewer,
];

/// The recorded usage of a cluster.
#[derive(Clone, Debug, Default)]
struct Usage {
    /// Request units of this month by component.
    request_units: Vec<(&'static str, f64)>,
    /// Bytes of its data.
    storage_bytes: u64,
}

/// The usage of each cluster of an organization that was ever metered, read with one query.
async fn usages(api: &Api, organization: OrganizationId) -> Result<HashMap<ClusterId, Usage>> {
    let query = Query { organization: Some(organization), ..Query::all(Kind::Meter) };
    let meters = api.context.store.list(&query).await?.into_iter().map(documents::decode::<Meter>);
    meters
        .map(|meter| meter.map(|meter| (meter.value.cluster, usage(&meter.value, api.context.now()))))
        .collect()
}

fn usage(meter: &Meter, now: Timestamp) -> Usage {
    let used = meter.used_in_month(now).request_units();
    #[allow(clippy::cast_precision_loss)]
    let units = |(component, micros): (&'static str, u64)| (component, micros as f64 / MICRO as f64);
    let request_units = used.components().into_iter().map(units).collect();
    Usage { request_units, storage_bytes: meter.last.storage_bytes }
}

/// The metrics for the caller that sent `headers`.
pub async fn text(
    api: &Arc<Api>,
    peer: IpAddr,
    headers: &HeaderMap,
    gateway: Option<(Snapshot, usize)>,
    tls: Option<&Tls>,
) -> Result<String> {
    let principal = identify(&api.identity, Credentials::bearer(headers), peer).await?.principal;
    let granted = authorize(&principal, Requirement::Roles(READERS), Target::Organization)?;
    let query = Query { organization: Some(granted.organization()), ..Query::active(Kind::Cluster) };
    let mut usages = usages(api, granted.organization()).await?;
    let mut clusters = Vec::new();
    for row in api.context.store.list(&query).await? {
        let cluster = documents::decode::<Cluster>(row)?.value;
        let usage = usages.remove(&cluster.id);
        let observed = match cluster.nodes.is_empty() {
            true => Vec::new(),
            false => {
                api.context.engine.observe(cluster.id).await.map_or_else(|_| Vec::new(), |seen| seen.nodes)
            }
        };
        clusters.push(look_at(api, cluster, usage, &observed));
    }
    let answers = api.response_counts.counts();
    let https = tls.map(Tls::expires);
    let disk = Some(api.context.disk.bytes());
    let backups = &api.lifecycle.backups;
    let backups = Some((backups.counts(), backups.overdue(api.context.now())));
    let expired = Some(api.lifecycle.expired.load(Ordering::Relaxed));
    let failovers = Some(api.lifecycle.failovers.load(Ordering::Relaxed));
    Figures { gateway, https, disk, backups, expired, failovers, clusters, answers }.text()
}

/// `observed` are the nodes of a cluster with several nodes.
fn look_at(api: &Api, cluster: Cluster, usage: Option<Usage>, observed: &[Node]) -> Seen {
    let id = cluster.id;
    let (sent, received) = api.metering.activity.totals(id);
    let node = |id: NodeId| {
        let seen = observed.iter().find(|node| node.id == id);
        SeenNode {
            name: id.to_string(),
            live: seen.is_some_and(|node| node.live),
            lag_bytes: seen.and_then(|node| node.lag_bytes),
        }
    };
    let lost = |condition: &Condition| condition.kind == Condition::QUORUM_LOST && condition.holds;
    Seen {
        sessions: api.metering.activity.sessions(id),
        sent,
        received,
        suspended: cluster.power == Power::Off,
        data_missing: cluster.observed.is_data_missing(),
        backup_damaged: api.lifecycle.backups.condition(id, Condition::BACKUP_DAMAGED).is_some(),
        backup_failed: api.lifecycle.backups.condition(id, Condition::BACKUP_FAILED).is_some(),
        nodes: cluster.nodes.iter().map(|spec| node(spec.id)).collect(),
        quorum_lost: cluster.observed.conditions.iter().any(lost),
        totals: api.metering.samples.totals(id),
        usage,
        labels: [("cluster", id.to_string()), ("name", cluster.name)],
    }
}

/// Serves the metrics of a gateway process. They contain no data of clusters, so they need no authentication.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    embedded: Arc<EmbeddedGateway>,
    stop: watch::Receiver<bool>,
) {
    let router = Router::new().route("/metrics", get(of_gateway)).with_state(embedded);
    let (_open, opened) = watch::channel(true);
    listener::serve(listener, None, Arc::new(router), settings, opened, stop).await;
}

async fn of_gateway(State(embedded): State<Arc<EmbeddedGateway>>) -> impl IntoResponse {
    let gateway = Some(embedded.figures());
    let figures = Figures { gateway, ..Figures::default() };
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], figures.text().unwrap_or_default())
}

type Labels = [(&'static str, String); 2];
type Label = [(&'static str, String); 1];
type NodeLabels = [(&'static str, String); 3];

/// The metrics of a cluster.
struct Seen {
    labels: Labels,
    sessions: u32,
    sent: u64,
    received: u64,
    suspended: bool,
    data_missing: bool,
    backup_damaged: bool,
    backup_failed: bool,
    /// Empty for a cluster with one node.
    nodes: Vec<SeenNode>,
    quorum_lost: bool,
    totals: Totals,
    usage: Option<Usage>,
}

/// The metrics of a node.
struct SeenNode {
    name: String,
    live: bool,
    /// Only of a standby that streams.
    lag_bytes: Option<u64>,
}

/// All metrics of one request.
#[derive(Default)]
struct Figures {
    /// `None` if the gateway is another process.
    gateway: Option<(Snapshot, usize)>,
    /// When the certificate of the API expires.
    https: Option<SystemTime>,
    /// Free bytes on the disk of the engine, and bytes of the reserve.
    disk: Option<(u64, u64)>,
    /// What happened to backups, and how late the most overdue one is.
    backups: Option<(Counts, Duration)>,
    /// The number of expired clusters that were deleted.
    expired: Option<u64>,
    /// The number of failovers.
    failovers: Option<u64>,
    clusters: Vec<Seen>,
    answers: Vec<(&'static str, u64)>,
}

impl Figures {
    fn text(&self) -> Result<String> {
        let mut registry = Registry::with_prefix("ootheca");
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the running program", version);
        if let Some((gateway, open)) = &self.gateway {
            register_gateway(&mut registry, gateway, *open);
        }
        self.register_certificates(&mut registry);
        self.register_disk(&mut registry);
        self.register_backups(&mut registry);
        if let Some(expired) = self.expired {
            let deleted = Counter::<u64>::default();
            deleted.inc_by(expired);
            let help = "Total number of clusters deleted because they expired";
            registry.register("clusters_expired", help, deleted);
        }
        if let Some(failovers) = self.failovers {
            let counter = Counter::<u64>::default();
            counter.inc_by(failovers);
            let help = "Total number of failovers: times that a standby replaced a primary that did not work";
            registry.register("failovers", help, counter);
        }
        let requests = Family::<Label, Counter>::default();
        for (class, count) in &self.answers {
            requests.get_or_create(&[("class", (*class).to_owned())]).inc_by(*count);
        }
        registry.register("api_requests", "Total number of API requests, by class of status", requests);
        let dropped = Counter::<u64>::default();
        dropped.inc_by(logging::dropped());
        let help = "Total number of log lines dropped because standard error was closed or not read";
        registry.register("log_lines_dropped", help, dropped);
        self.register_clusters(&mut registry);
        self.register_nodes(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry)
            .map_err(|error| Error::internal("could not encode the metrics").because(error))?;
        Ok(text)
    }

    fn register_disk(&self, registry: &mut Registry) {
        let Some((free, reserve)) = self.disk else { return };
        let gauge = |bytes: u64| {
            let gauge = Gauge::<i64>::default();
            gauge.set(i64::try_from(bytes).unwrap_or(i64::MAX));
            gauge
        };
        let help = "Free space on the disk that holds the data of the clusters";
        registry.register_with_unit("disk_free", help, Unit::Bytes, gauge(free));
        let help = "Free space below which clusters can't be created or add data (engine.disk_reserve_mib)";
        registry.register_with_unit("disk_reserve", help, Unit::Bytes, gauge(reserve));
    }

    fn register_backups(&self, registry: &mut Registry) {
        let Some((counts, overdue)) = &self.backups else { return };
        let results = [("stored", counts.stored), ("unchanged", counts.unchanged), ("failed", counts.failed)];
        let help =
            "Total number of cluster backups, by result: stored, unchanged since the last one, or failed";
        registry.register("backups", help, by_result(&results));
        let stored = Counter::<u64>::default();
        stored.inc_by(counts.stored_bytes);
        let help = "Total number of bytes stored for backups, after compression";
        registry.register_with_unit("backup_stored", help, Unit::Bytes, stored);
        let late = Gauge::<i64>::default();
        late.set(i64::try_from(overdue.as_secs()).unwrap_or(i64::MAX));
        let help = "Delay of the most overdue backup of any cluster; 0 if no backup is overdue";
        registry.register_with_unit("backup_overdue", help, Unit::Seconds, late);
        let results = [("succeeded", counts.restored), ("failed", counts.not_restored)];
        let help = "Total number of completed restores, by result: succeeded or failed";
        registry.register("restores", help, by_result(&results));
        let results =
            [("intact", counts.intact), ("damaged", counts.damaged), ("failed", counts.not_verified)];
        let help = "Total number of backup verifications, by result: intact, damaged, or failed";
        registry.register("backup_verifications", help, by_result(&results));
    }

    fn register_certificates(&self, registry: &mut Registry) {
        let expiry = Family::<Label, Gauge>::default();
        let gateway = self.gateway.iter().flat_map(|(gateway, _)| &gateway.certificate_expiry);
        let gateway = gateway.map(|(name, expires)| (*name, *expires));
        for (name, expires) in gateway.chain(self.https.map(|expires| ("api", expires))) {
            let seconds = expires.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            let gauge = expiry.get_or_create(&[("certificate", name.to_owned())]);
            gauge.set(i64::try_from(seconds).unwrap_or(i64::MAX));
        }
        let help = "Unix time at which the certificate expires: sql, api, or the issuing authority";
        registry.register_with_unit("certificate_expiry_timestamp", help, Unit::Seconds, expiry);
    }

    fn register_clusters(&self, registry: &mut Registry) {
        let sessions = Family::<Labels, Gauge>::default();
        let sent = Family::<Labels, Counter>::default();
        let received = Family::<Labels, Counter>::default();
        let suspended = Family::<Labels, Gauge>::default();
        let data_missing = Family::<Labels, Gauge>::default();
        let backup_damaged = Family::<Labels, Gauge>::default();
        let backup_failed = Family::<Labels, Gauge>::default();
        let statements = Family::<Labels, Counter>::default();
        let cpu = Family::<Labels, Counter<f64, AtomicU64>>::default();
        let storage = Family::<Labels, Gauge>::default();
        let units = Family::<[(&'static str, String); 3], Gauge<f64, AtomicU64>>::default();
        for cluster in &self.clusters {
            let labels = &cluster.labels;
            sessions.get_or_create(labels).set(cluster.sessions.into());
            sent.get_or_create(labels).inc_by(cluster.sent);
            received.get_or_create(labels).inc_by(cluster.received);
            suspended.get_or_create(labels).set(cluster.suspended.into());
            data_missing.get_or_create(labels).set(cluster.data_missing.into());
            backup_damaged.get_or_create(labels).set(cluster.backup_damaged.into());
            backup_failed.get_or_create(labels).set(cluster.backup_failed.into());
            statements.get_or_create(labels).inc_by(cluster.totals.transactions);
            #[allow(clippy::cast_precision_loss)]
            cpu.get_or_create(labels).inc_by(cluster.totals.cpu_micros as f64 / 1e6);
            let Some(usage) = &cluster.usage else { continue };
            storage.get_or_create(labels).set(i64::try_from(usage.storage_bytes).unwrap_or(i64::MAX));
            for (component, amount) in &usage.request_units {
                let [id, name] = labels.clone();
                units.get_or_create(&[id, name, ("component", (*component).to_owned())]).set(*amount);
            }
        }
        registry.register("cluster_sessions", "Number of open SQL sessions of the cluster", sessions);
        let help = "Total number of bytes sent to SQL clients of the cluster";
        registry.register_with_unit("cluster_sent", help, Unit::Bytes, sent);
        let help = "Total number of bytes received from SQL clients of the cluster";
        registry.register_with_unit("cluster_received", help, Unit::Bytes, received);
        registry.register("cluster_suspended", "Whether the cluster is suspended: 1 or 0", suspended);
        let help = "Whether the data of the cluster is missing: 1 or 0";
        registry.register("cluster_data_missing", help, data_missing);
        let help = "Whether backups of the cluster are damaged: 1 or 0";
        registry.register("cluster_backup_damaged", help, backup_damaged);
        let help = "Whether a backup of the cluster is long overdue: 1 or 0";
        registry.register("cluster_backup_failed", help, backup_failed);
        let help = "Total number of transactions of the cluster since this server started";
        registry.register("cluster_statements", help, statements);
        let help = "Total CPU time of the cluster's SQL server since this server started";
        registry.register_with_unit("cluster_cpu", help, Unit::Seconds, cpu);
        let help = "Size of the cluster's data on disk";
        registry.register_with_unit("cluster_storage", help, Unit::Bytes, storage);
        let help = "Request units used by the cluster in the current month (UTC), by component";
        registry.register("cluster_month_request_units", help, units);
    }
}

impl Figures {
    fn register_nodes(&self, registry: &mut Registry) {
        let live = Family::<NodeLabels, Gauge>::default();
        let lag = Family::<NodeLabels, Gauge>::default();
        let lost = Family::<Labels, Gauge>::default();
        for cluster in self.clusters.iter().filter(|cluster| !cluster.nodes.is_empty()) {
            lost.get_or_create(&cluster.labels).set(cluster.quorum_lost.into());
            for node in &cluster.nodes {
                let [id, name] = cluster.labels.clone();
                let labels = [id, name, ("node", node.name.clone())];
                live.get_or_create(&labels).set(node.live.into());
                if let Some(bytes) = node.lag_bytes {
                    lag.get_or_create(&labels).set(i64::try_from(bytes).unwrap_or(i64::MAX));
                }
            }
        }
        let help = "Whether the node of a cluster with several nodes is live: 1 or 0";
        registry.register("node_live", help, live);
        let help = "Size of the write-ahead log that a standby has not received yet";
        registry.register_with_unit("node_lag", help, Unit::Bytes, lag);
        let help = "Whether the primary is lost and too few nodes respond to replace it: 1 or 0";
        registry.register("quorum_lost", help, lost);
    }
}

fn register_gateway(registry: &mut Registry, gateway: &Snapshot, connections: usize) {
    let count = |count| {
        let counter = Counter::<u64>::default();
        counter.inc_by(count);
        counter
    };
    let open = Gauge::<i64>::default();
    open.set(i64::try_from(connections).unwrap_or(i64::MAX));
    registry.register("gateway_accepted", "Number of accepted SQL connections", count(gateway.accepted));
    registry.register("gateway_connections", "Number of open SQL connections", open);
    let refused = by_kind(&gateway.refused);
    registry.register("gateway_refused", "Total number of refused SQL connections, by kind", refused);
    let closed = by_kind(&gateway.closed);
    registry.register("gateway_closed", "Total number of other closed SQL connections, by kind", closed);
    let help = "Total number of sessions that reused a pooled server connection";
    registry.register("gateway_reused", help, count(gateway.reused));
    registry.register("gateway_canceled", "Number of forwarded cancel requests", count(gateway.canceled));
    let help = "Time from the authentication of a client until its cluster was ready";
    registry.register_with_unit("gateway_wake", help, Unit::Seconds, Times(gateway.wake.clone()));
    let help = "Time from the first message of a client until its session was ready";
    registry.register_with_unit("gateway_login", help, Unit::Seconds, Times(gateway.login.clone()));
}

fn by_kind(counts: &BTreeMap<&'static str, u64>) -> Family<Label, Counter> {
    let family = Family::<Label, Counter>::default();
    for (kind, count) in counts {
        family.get_or_create(&[("kind", (*kind).to_owned())]).inc_by(*count);
    }
    family
}

fn by_result(counts: &[(&'static str, u64)]) -> Family<Label, Counter> {
    let family = Family::<Label, Counter>::default();
    for (result, count) in counts {
        family.get_or_create(&[("result", (*result).to_owned())]).inc_by(*count);
    }
    family
}

/// A histogram whose values were counted elsewhere.
#[derive(Debug)]
struct Times(Histogram);

impl EncodeMetric for Times {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::result::Result<(), std::fmt::Error> {
        let Histogram { count, sum, buckets } = &self.0;
        // The encoder computes the cumulative counts.
        let mut below = 0;
        let apart = buckets.iter().map(|(bound, upto)| {
            let here = upto.saturating_sub(below);
            below = *upto;
            (bound.as_secs_f64(), here)
        });
        let mut apart: Vec<(f64, u64)> = apart.collect();
        apart.push((f64::INFINITY, count.saturating_sub(below)));
        encoder.encode_histogram::<NoLabelSet>(sum.as_secs_f64(), *count, &apart, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    fn figures() -> Figures {
        let gateway = Snapshot {
            accepted: 3,
            certificate_expiry: [("sql", SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))].into(),
            refused: [("denied", 1)].into(),
            closed: [("session", 1)].into(),
            wake: Histogram {
                count: 3,
                sum: Duration::from_millis(1500),
                buckets: vec![(Duration::from_millis(10), 1), (Duration::from_millis(100), 2)],
            },
            ..Snapshot::default()
        };
        let usage = Usage { request_units: vec![("cpu", 1.5)], storage_bytes: 4096 };
        let seen = Seen {
            labels: [("cluster", "some-id".into()), ("name", "quote \" and\nline".into())],
            sessions: 2,
            sent: 10,
            received: 20,
            suspended: true,
            data_missing: false,
            backup_damaged: true,
            backup_failed: true,
            nodes: vec![SeenNode { name: "n2".into(), live: true, lag_bytes: Some(512) }],
            quorum_lost: true,
            totals: Totals { transactions: 7, cpu_micros: 2_500_000, ..Totals::default() },
            usage: Some(usage),
        };
        let https = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let disk = Some((1 << 30, 1 << 28));
        let counts =
            Counts { stored: 4, failed: 1, stored_bytes: 4096, restored: 2, damaged: 3, ..Counts::default() };
        let backups = Some((counts, Duration::from_millis(90_500)));
        let (gateway, clusters, answers) = (Some((gateway, 1)), vec![seen], vec![("2xx", 5)]);
        Figures { gateway, https, disk, backups, expired: Some(2), failovers: Some(3), clusters, answers }
    }

    #[test]
    fn expected_metrics() {
        let text = figures().text().expect("a text");
        let of = |word: &str| -> Vec<String> {
            let lines = text.lines().filter_map(|line| line.strip_prefix(word));
            lines.map(str::to_owned).collect()
        };
        let mut series = String::from("The metrics of GET /metrics: type, name, and description.\n\n");
        for (kind, help) in of("# TYPE ").iter().zip(of("# HELP ")) {
            let (name, kind) = kind.split_once(' ').expect("a type");
            let (_, help) = help.split_once(' ').expect("a help");
            series.push_str(&format!("{kind:<10} {name:<38} {help}\n"));
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../expected/metrics.txt");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&path, &series).expect("the expected text is written");
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(series, expected, "expected/metrics.txt differs; UPDATE_EXPECTED=1 writes it anew");
    }

    #[test]
    fn values_and_labels_match_the_input() {
        let text = figures().text().expect("a text");
        let lines = [
            "ootheca_gateway_accepted_total 3",
            "ootheca_gateway_refused_total{kind=\"denied\"} 1",
            "ootheca_gateway_wake_seconds_count 3",
            "ootheca_gateway_wake_seconds_bucket{le=\"0.1\"} 2",
            "ootheca_gateway_wake_seconds_bucket{le=\"+Inf\"} 3",
            "ootheca_gateway_wake_seconds_sum 1.5",
            "ootheca_certificate_expiry_timestamp_seconds{certificate=\"sql\"} 1700000000",
            "ootheca_certificate_expiry_timestamp_seconds{certificate=\"api\"} 1800000000",
            "ootheca_backups_total{result=\"stored\"} 4",
            "ootheca_backups_total{result=\"unchanged\"} 0",
            "ootheca_backup_stored_bytes_total 4096",
            "ootheca_backup_overdue_seconds 90",
            "ootheca_restores_total{result=\"succeeded\"} 2",
            "ootheca_backup_verifications_total{result=\"damaged\"} 3",
            "ootheca_clusters_expired_total 2",
            "ootheca_failovers_total 3",
            "ootheca_node_live{cluster=\"some-id\",name=\"quote \\\" and\\nline\",node=\"n2\"} 1",
            "ootheca_node_lag_bytes{cluster=\"some-id\",name=\"quote \\\" and\\nline\",node=\"n2\"} 512",
            "ootheca_quorum_lost{cluster=\"some-id\",name=\"quote \\\" and\\nline\"} 1",
            "ootheca_api_requests_total{class=\"2xx\"} 5",
            "ootheca_cluster_statements_total{cluster=\"some-id\",name=\"quote \\\" and\\nline\"} 7",
            "ootheca_cluster_suspended{cluster=\"some-id\",name=\"quote \\\" and\\nline\"} 1",
            "ootheca_cluster_backup_damaged{cluster=\"some-id\",name=\"quote \\\" and\\nline\"} 1",
            "ootheca_cluster_backup_failed{cluster=\"some-id\",name=\"quote \\\" and\\nline\"} 1",
        ];
        for line in lines {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
