//! A directory that a test can change.

use super::{USER, VERIFIER};
use async_trait::async_trait;
use ootheca_gateway::{Activity, Destination, Directory, Policy, Standing};
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
struct State {
    policy: Option<Policy>,
    secrets: HashMap<String, Secret>,
    reports: Vec<Activity>,
    reports_fail: bool,
    failed_reports: u32,
    endpoints: u32,
    iterations: Option<u32>,
    distrusted: u32,
}

pub(crate) struct Town {
    cluster: ClusterId,
    socket: PathBuf,
    admin: tokio::sync::Mutex<Option<Client>>,
    state: Mutex<State>,
    /// Whether servers are there once they are asked for.
    awake: watch::Sender<bool>,
    changes: broadcast::Sender<ClusterId>,
}

impl Town {
    pub(crate) fn new(socket: PathBuf) -> Self {
        let cluster = ClusterId(Uuid::from_u128(12));
        let state = State { policy: Some(allow(&["0.0.0.0/0"])), ..State::default() };
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("lock")
    }

    pub(crate) fn cluster(&self) -> ClusterId {
        self.cluster
    }

    pub(crate) fn allow(&self, networks: &[&str]) {
        self.change(|policy| policy.allow = allow(networks).allow);
    }

    pub(crate) fn stand(&self, standing: Standing) {
        self.change(|policy| policy.standing = standing);
    }

    fn change(&self, change: impl FnOnce(&mut Policy)) {
        change(self.state().policy.as_mut().expect("a cluster"));
        let _ = self.changes.send(self.cluster);
    }

    /// Whether whoever asks for a server gets it, or waits.
    pub(crate) fn be_awake(&self, awake: bool) {
        self.awake.send_replace(awake);
    }

    /// Says so much of the verifiers of the cluster.
    pub(crate) fn iterate(&self, iterations: u32) {
        self.state().iterations = Some(iterations);
    }

    pub(crate) fn delete(&self) {
        self.state().policy = None;
        let _ = self.changes.send(self.cluster);
    }

    /// Remembers a secret, whatever the server says.
    pub(crate) fn remember(&self, user: &str, secret: Secret) {
        self.state().secrets.insert(user.into(), secret);
    }

    /// How often somebody was let through to the server, and how often a secret was doubted.
    pub(crate) fn calls(&self) -> (u32, u32) {
        let state = self.state();
        (state.endpoints, state.distrusted)
    }

    /// What was reported so far.
    pub(crate) fn reports(&self) -> Vec<Activity> {
        self.state().reports.clone()
    }

    /// How many reports have failed.
    pub(crate) fn failed_reports(&self) -> u32 {
        self.state().failed_reports
    }

    pub(crate) fn let_reports_fail(&self, fail: bool) {
        self.state().reports_fail = fail;
    }

    /// What the server knows of a user; without a server, all know the one.
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

    /// So many changes elsewhere that a receiver lags.
    pub(crate) fn noise(&self) {
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
impl Directory for Town {
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

    async fn distrust(&self, _: ClusterId) {
        let mut state = self.state();
        state.distrusted += 1;
        state.secrets.clear();
    }

    async fn report(&self, activities: Vec<Activity>) -> Result<()> {
        let mut state = self.state();
        if state.reports_fail {
            state.failed_reports += 1;
            return Err(Error::unavailable("nobody listens"));
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
        assert_eq!(cluster, self.cluster, "only clusters with sessions are of interest");
        Ok(self.state().policy.clone())
    }

    fn changes(&self) -> broadcast::Receiver<ClusterId> {
        self.changes.subscribe()
    }
}
