//! A directory that a test can change.

use super::{USER, VERIFIER};
use async_trait::async_trait;
use ootheca_gateway::{Activity, AdmissionState, Destination, Directory, Policy};
use ootheca_model::{ClusterId, Error, Result, login::Secret};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard},
};
use tokio::sync::{broadcast, watch};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

#[derive(Default)]
struct DirectoryState {
    policy: Option<Policy>,
    secrets: HashMap<String, Secret>,
    reports: Vec<Activity>,
    reports_fail: bool,
    failed_reports: u32,
    endpoints: u32,
    iterations: Option<u32>,
    invalidations: u32,
    policy_reads: u32,
}

pub(crate) struct FakeDirectory {
    cluster: ClusterId,
    socket: PathBuf,
    admin: tokio::sync::Mutex<Option<Client>>,
    state: Mutex<DirectoryState>,
    /// Whether `endpoint` returns, or waits.
    awake: watch::Sender<bool>,
    changes: broadcast::Sender<ClusterId>,
}

impl FakeDirectory {
    pub(crate) fn new(socket: PathBuf) -> Self {
        let cluster = ClusterId(Uuid::from_u128(12));
        let state = DirectoryState { policy: Some(allow(&["0.0.0.0/0"])), ..DirectoryState::default() };
        let (admin, state) = (tokio::sync::Mutex::default(), Mutex::new(state));
        Self {
            cluster,
            socket,
            admin,
            state,
            awake: watch::Sender::new(true),
            changes: broadcast::channel(4).0,
        }
    }

    fn state(&self) -> MutexGuard<'_, DirectoryState> {
        self.state.lock().expect("lock")
    }

    pub(crate) fn cluster(&self) -> ClusterId {
        self.cluster
    }

    pub(crate) fn allow(&self, networks: &[&str]) {
        self.change(|policy| policy.allow = allow(networks).allow);
    }

    pub(crate) fn set_admission(&self, admission: AdmissionState) {
        self.change(|policy| policy.admission = admission);
    }

    fn change(&self, change: impl FnOnce(&mut Policy)) {
        change(self.state().policy.as_mut().expect("a cluster"));
        let _ = self.changes.send(self.cluster);
    }

    /// Sets whether `endpoint` returns, or waits.
    pub(crate) fn set_awake(&self, awake: bool) {
        self.awake.send_replace(awake);
    }

    /// Sets the iterations of the cluster's verifiers.
    pub(crate) fn set_iterations(&self, iterations: u32) {
        self.state().iterations = Some(iterations);
    }

    pub(crate) fn delete(&self) {
        self.state().policy = None;
        let _ = self.changes.send(self.cluster);
    }

    /// Caches a secret, which may differ from the server's.
    pub(crate) fn set_secret(&self, user: &str, secret: Secret) {
        self.state().secrets.insert(user.into(), secret);
    }

    /// The numbers of calls of `endpoint` and of `invalidate`.
    pub(crate) fn calls(&self) -> (u32, u32) {
        let state = self.state();
        (state.endpoints, state.invalidations)
    }

    /// The successful reports.
    pub(crate) fn reports(&self) -> Vec<Activity> {
        self.state().reports.clone()
    }

    /// The number of times that the policy was read.
    pub(crate) fn policy_reads(&self) -> u32 {
        self.state().policy_reads
    }

    /// The number of failed reports.
    pub(crate) fn failed_reports(&self) -> u32 {
        self.state().failed_reports
    }

    pub(crate) fn set_reports_fail(&self, fail: bool) {
        self.state().reports_fail = fail;
    }

    /// Reads a secret from the server. Without a server, the secret of `USER` is known.
    async fn look_up(&self, user: &str) -> Option<Secret> {
        let mut admin = self.admin.lock().await;
        if admin.as_ref().is_none_or(Client::is_closed) {
            let mut config = tokio_postgres::Config::new();
            config.host_path(self.socket.parent().expect("a folder")).user("ootheca").dbname("postgres");
            match config.connect(NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    *admin = Some(client);
                }
                Err(_) => return (user == USER).then(|| Secret::Scram(VERIFIER.into())),
            }
        }
        let query = "SELECT rolpassword, coalesce(rolvaliduntil <= now(), false) \
                     FROM pg_authid WHERE rolname = $1 AND rolcanlogin";
        let row = admin.as_ref()?.query_opt(query, &[&user]).await.expect("an answer")?;
        Some(match row.get::<_, Option<String>>(0) {
            _ if row.get(1) => Secret::Expired,
            None => Secret::Absent,
            Some(secret) if secret.starts_with("SCRAM-SHA-256$") => Secret::Scram(secret),
            Some(_) => Secret::Other("MD5".into()),
        })
    }

    /// Announces so many changes of other clusters that receivers lag.
    pub(crate) fn flood_changes(&self) {
        for number in 0..100 {
            let _ = self.changes.send(ClusterId(Uuid::from_u128(1000 + number)));
        }
    }
}

fn allow(networks: &[&str]) -> Policy {
    let allow = networks.iter().map(|network| network.parse().expect("a network")).collect();
    Policy { allow, ..Policy::default() }
}

#[async_trait]
impl Directory for FakeDirectory {
    async fn resolve(&self, routing_id: &str) -> Result<Option<Destination>> {
        if routing_id == "broken-1" {
            return Err(Error::internal("the secret reason"));
        }
        let policy = self.state().policy.clone();
        let policy = policy.filter(|_| routing_id == "shop-12");
        Ok(policy.map(|policy| Destination {
            cluster: self.cluster,
            policy,
            iterations: self.state().iterations,
        }))
    }

    async fn secret(&self, _: ClusterId, user: &str) -> Result<Option<Secret>> {
        let remembered = self.state().secrets.get(user).cloned();
        Ok(if remembered.is_some() { remembered } else { self.look_up(user).await })
    }

    async fn invalidate(&self, _: ClusterId) {
        let mut state = self.state();
        state.invalidations += 1;
        state.secrets.clear();
    }

    async fn report(&self, activities: Vec<Activity>) -> Result<()> {
        let mut state = self.state();
        if state.reports_fail {
            state.failed_reports += 1;
            return Err(Error::unavailable("reports fail"));
        }
        state.reports.extend(activities);
        Ok(())
    }

    async fn endpoint(&self, _: ClusterId) -> Result<PathBuf> {
        self.state().endpoints += 1;
        let _ = self.awake.subscribe().wait_for(|awake| *awake).await;
        Ok(self.socket.clone())
    }

    async fn policy(&self, cluster: ClusterId) -> Result<Option<Policy>> {
        assert_eq!(cluster, self.cluster, "the gateway reads only policies of clusters with sessions");
        let mut state = self.state();
        state.policy_reads += 1;
        Ok(state.policy.clone())
    }

    fn changes(&self) -> broadcast::Receiver<ClusterId> {
        self.changes.subscribe()
    }
}
