//! Live sessions by cluster.
//!
//! A connection is registered once its client may reach the cluster, and becomes active once the client
//! has authenticated. Only active sessions count towards limits and in reports.

pub(crate) mod activity;
pub(crate) mod cancel;
mod termination;

pub(crate) use termination::{SessionHandle, Termination};

use crate::{Activity, AdmissionState, Notice, Policy, metrics::Usage};
use ootheca_model::ClusterId;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

struct RegisteredSession {
    client: IpAddr,
    handle: Arc<SessionHandle>,
    slot: Option<ActiveSlot>,
}

/// Held by an active session. Contains the flag of its storage guard, if the cluster exceeded its storage
/// limit when the session began.
struct ActiveSlot(Option<Arc<AtomicBool>>);

impl RegisteredSession {
    fn enforce(&self, policy: Option<&Policy>) {
        let Some(policy) = policy else { return self.handle.terminate(Termination::Deleted) };
        if !policy.allows(self.client) {
            self.handle.terminate(Termination::NotAllowed);
        }
        let Some(ActiveSlot(exceeded)) = &self.slot else { return };
        let guarded = exceeded.as_ref().is_some_and(|exceeded| exceeded.load(Ordering::Acquire));
        match &policy.admission {
            AdmissionState::Open => {
                exceeded.iter().for_each(|exceeded| exceeded.store(false, Ordering::Release));
            }
            AdmissionState::Throttled(_) if guarded => {}
            AdmissionState::Throttled(notice) => {
                self.handle.terminate_with_notice(Termination::Throttled, notice);
            }
            AdmissionState::Disabled(notice) => {
                self.handle.terminate_with_notice(Termination::Disabled, notice);
            }
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Totals {
    opened: u64,
    sent: u64,
    received: u64,
}

#[derive(Default)]
struct ClusterSessions {
    sessions: HashMap<u64, RegisteredSession>,
    /// All sessions that became active, and the bytes of those that have ended.
    ended: Totals,
    /// The part of the totals that has been reported.
    reported: Totals,
    /// The number of active sessions in the last report.
    reported_active: u32,
    deleted: bool,
}

impl ClusterSessions {
    fn active(&self) -> u32 {
        let active = self.sessions.values().filter(|session| session.slot.is_some());
        u32::try_from(active.count()).unwrap_or(u32::MAX)
    }

    fn totals(&self) -> Totals {
        let mut totals = self.ended;
        for session in self.sessions.values() {
            totals.sent += session.handle.sent();
            totals.received += session.handle.received();
        }
        totals
    }

    fn activity(&self, cluster: ClusterId) -> Option<Activity> {
        let (active, totals) = (self.active(), self.totals());
        let opened = u32::try_from(totals.opened - self.reported.opened).unwrap_or(u32::MAX);
        let sessions_seen = self.reported_active.saturating_add(opened);
        let sent = totals.sent - self.reported.sent;
        let received = totals.received - self.reported.received;
        let activity = Activity { cluster, sessions: active, sessions_seen, sent, received };
        (active > 0 || sessions_seen > 0 || sent > 0 || received > 0).then_some(activity)
    }
}

#[derive(Default)]
struct RegistryState {
    next_id: u64,
    /// Applies to sessions that are registered from now on, too.
    shutdown: Option<Termination>,
    clusters: HashMap<ClusterId, ClusterSessions>,
}

/// All live sessions.
#[derive(Default)]
pub(crate) struct Registry {
    state: Mutex<RegistryState>,
    policy_changes: AtomicU64,
}

impl Registry {
    /// The number of policy changes so far. A decision based on a policy must be repeated if this number
    /// has changed after [`Registry::register`] and after [`Registration::activate`].
    pub(crate) fn policy_changes(&self) -> u64 {
        self.policy_changes.load(Ordering::Acquire)
    }

    /// Counts a policy change. To be called before [`Registry::enforce`].
    pub(crate) fn count_policy_change(&self) {
        self.policy_changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Registers a session until the returned value is dropped.
    pub(crate) fn register(self: &Arc<Self>, cluster: ClusterId, client: IpAddr) -> Registration {
        let handle = Arc::new(SessionHandle::default());
        let mut state = self.state.lock();
        state.next_id += 1;
        let id = state.next_id;
        if let Some(termination) = state.shutdown {
            handle.terminate(termination);
        }
        let session = RegisteredSession { client, handle: handle.clone(), slot: None };
        state.clusters.entry(cluster).or_default().sessions.insert(id, session);
        Registration { registry: self.clone(), cluster, id, handle }
    }

    /// Whether the cluster has sessions, or had sessions before.
    pub(crate) fn contains(&self, cluster: ClusterId) -> bool {
        self.state.lock().clusters.contains_key(&cluster)
    }

    /// The clusters that have or had sessions.
    pub(crate) fn clusters(&self) -> Vec<ClusterId> {
        self.state.lock().clusters.keys().copied().collect()
    }

    /// Terminates the sessions that a cluster's policy does not allow; without a policy, the cluster was
    /// deleted.
    pub(crate) fn enforce(&self, cluster: ClusterId, policy: Option<&Policy>) {
        if let Some(known) = self.state.lock().clusters.get_mut(&cluster) {
            known.deleted = policy.is_none();
            known.sessions.values().for_each(|session| session.enforce(policy));
        }
    }

    /// Terminates all sessions, and those that are registered later.
    pub(crate) fn terminate_all(&self, termination: Termination) {
        let mut state = self.state.lock();
        state.shutdown = Some(termination);
        for session in state.clusters.values().flat_map(|cluster| cluster.sessions.values()) {
            session.handle.terminate(termination);
        }
    }

    /// The activity that has not been reported.
    pub(crate) fn unreported(&self) -> Vec<Activity> {
        self.state.lock().clusters.iter().filter_map(|(id, cluster)| cluster.activity(*id)).collect()
    }

    /// Marks activity as reported, and forgets deleted clusters without any.
    pub(crate) fn mark_reported(&self, activities: &[Activity]) {
        let mut state = self.state.lock();
        for activity in activities {
            if let Some(cluster) = state.clusters.get_mut(&activity.cluster) {
                let opened = activity.sessions_seen.saturating_sub(cluster.reported_active);
                cluster.reported.opened += u64::from(opened);
                cluster.reported.sent += activity.sent;
                cluster.reported.received += activity.received;
                cluster.reported_active = activity.sessions;
            }
        }
        state.clusters.retain(|id, cluster| {
            !cluster.deleted || !cluster.sessions.is_empty() || cluster.activity(*id).is_some()
        });
    }

    /// The usage of each cluster since the gateway started.
    pub(crate) fn usage(&self) -> BTreeMap<ClusterId, Usage> {
        let usage = |cluster: &ClusterSessions| {
            let Totals { sent, received, .. } = cluster.totals();
            Usage { sessions: cluster.active(), sent, received }
        };
        self.state.lock().clusters.iter().map(|(id, cluster)| (*id, usage(cluster))).collect()
    }
}

/// The storage limit that the one session of a throttled cluster is subject to.
#[derive(Debug)]
pub(crate) struct StorageLimit {
    pub(crate) notice: Notice,
    /// Whether the cluster still exceeds the limit.
    pub(crate) exceeded: Arc<AtomicBool>,
}

/// Why a session cannot become active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ActivationError {
    /// The cluster exceeds its request unit limit.
    Disabled(Notice),
    /// The cluster exceeds its storage limit and has its one session already.
    Throttled(Notice),
    /// The cluster has the maximum number of sessions.
    TooManySessions,
}

/// A registered session.
pub(crate) struct Registration {
    registry: Arc<Registry>,
    id: u64,
    pub(crate) cluster: ClusterId,
    pub(crate) handle: Arc<SessionHandle>,
}

impl Registration {
    /// Makes the session active, unless the cluster has `max` other sessions or its state forbids it.
    /// May be repeated with a newer state.
    pub(crate) fn activate(
        &self,
        admission: &AdmissionState,
        max: usize,
    ) -> Result<Option<StorageLimit>, ActivationError> {
        let mut state = self.registry.state.lock();
        let Some(cluster) = state.clusters.get_mut(&self.cluster) else {
            return Err(ActivationError::TooManySessions);
        };
        let sessions = cluster.sessions.iter();
        let others = sessions.filter(|(id, session)| **id != self.id && session.slot.is_some()).count();
        let limit = match admission {
            AdmissionState::Disabled(notice) => return Err(ActivationError::Disabled(notice.clone())),
            AdmissionState::Throttled(notice) if others > 0 => {
                return Err(ActivationError::Throttled(notice.clone()));
            }
            _ if others >= max => return Err(ActivationError::TooManySessions),
            AdmissionState::Throttled(notice) => {
                Some(StorageLimit { notice: notice.clone(), exceeded: Arc::new(AtomicBool::new(true)) })
            }
            AdmissionState::Open => None,
        };
        if let Some(session) = cluster.sessions.get_mut(&self.id) {
            let slot = ActiveSlot(limit.as_ref().map(|limit| limit.exceeded.clone()));
            if session.slot.replace(slot).is_none() {
                cluster.ended.opened += 1;
            }
        }
        Ok(limit)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut state = self.registry.state.lock();
        if let Some(cluster) = state.clusters.get_mut(&self.cluster) {
            cluster.sessions.remove(&self.id);
            cluster.ended.sent += self.handle.sent();
            cluster.ended.received += self.handle.received();
        }
    }
}

#[cfg(test)]
mod tests;
