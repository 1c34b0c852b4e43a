//! Live sessions by cluster, and the switch that ends each.
//!
//! A connection is registered when its peer may reach the cluster, and entered when it has proven who
//! it is. Only those that are entered count, for limits as well as for reports.

pub(crate) mod activity;
pub(crate) mod cancel;
mod termination;

pub(crate) use termination::Cut;

use crate::{Activity, Notice, Policy, Standing, metrics::Usage};
use futures_util::task::AtomicWaker;
use ootheca_model::ClusterId;
use std::{
    collections::{BTreeMap, HashMap},
    future::poll_fn,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

/// The other end of a live session's plug, and its meter.
#[derive(Default)]
pub(crate) struct Switch {
    cut: AtomicU8,
    waker: AtomicWaker,
    notice: Mutex<Option<Notice>>,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Switch {
    fn turn(&self, cut: Cut) {
        self.cut.fetch_max(cut as u8, Ordering::AcqRel);
        self.waker.wake();
    }

    fn turn_with(&self, cut: Cut, notice: &Notice) {
        *self.notice.lock().unwrap_or_else(PoisonError::into_inner) = Some(notice.clone());
        self.turn(cut);
    }

    /// Whether to end. The task that asks is woken when the answer changes.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Option<Cut> {
        self.waker.register(cx.waker());
        match self.cut.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Cut::Drain),
            2 => Some(Cut::Shutdown),
            3 => Some(Cut::Throttled),
            4 => Some(Cut::Policy),
            5 => Some(Cut::Disabled),
            _ => Some(Cut::Deleted),
        }
    }

    /// Waits until it is to end.
    pub(crate) async fn cut(&self) -> Cut {
        poll_fn(|cx| self.poll(cx).map_or(Poll::Pending, Poll::Ready)).await
    }

    /// What to say about it.
    pub(crate) fn notice(&self) -> Option<Notice> {
        self.notice.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says how many bytes went to the client so far. Only the session itself does.
    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.store(bytes, Ordering::Relaxed);
    }

    /// Says how many bytes came from the client so far. Only the session itself does.
    pub(crate) fn received(&self, bytes: u64) {
        self.received.store(bytes, Ordering::Relaxed);
    }
}

struct Entry {
    peer: IpAddr,
    switch: Arc<Switch>,
    seat: Option<Seat>,
}

/// Of an authenticated session: its guard, where the cluster was throttled when it came.
struct Seat(Option<Arc<AtomicBool>>);

impl Entry {
    fn enforce(&self, policy: Option<&Policy>) {
        let Some(policy) = policy else { return self.switch.turn(Cut::Deleted) };
        if !policy.allows(self.peer) {
            self.switch.turn(Cut::Policy);
        }
        let Some(Seat(over)) = &self.seat else { return };
        let guarded = over.as_ref().is_some_and(|over| over.load(Ordering::Acquire));
        match &policy.standing {
            Standing::Open => over.iter().for_each(|over| over.store(false, Ordering::Release)),
            Standing::Throttled(_) if guarded => {}
            Standing::Throttled(notice) => self.switch.turn_with(Cut::Throttled, notice),
            Standing::Disabled(notice) => self.switch.turn_with(Cut::Disabled, notice),
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
struct Cluster {
    entries: HashMap<u64, Entry>,
    /// Sessions that ever entered, and bytes of those that have ended.
    past: Totals,
    /// The part of the totals that was reported, and how many were open then.
    reported: Totals,
    reported_open: u32,
    gone: bool,
}

impl Cluster {
    fn open(&self) -> u32 {
        u32::try_from(self.entries.values().filter(|entry| entry.seat.is_some()).count()).unwrap_or(u32::MAX)
    }

    fn totals(&self) -> Totals {
        let mut totals = self.past;
        for entry in self.entries.values() {
            totals.sent += entry.switch.sent.load(Ordering::Relaxed);
            totals.received += entry.switch.received.load(Ordering::Relaxed);
        }
        totals
    }

    fn activity(&self, cluster: ClusterId) -> Option<Activity> {
        let (open, totals) = (self.open(), self.totals());
        let opened = u32::try_from(totals.opened - self.reported.opened).unwrap_or(u32::MAX);
        let sessions_seen = self.reported_open.saturating_add(opened);
        let sent = totals.sent - self.reported.sent;
        let received = totals.received - self.reported.received;
        let activity = Activity { cluster, sessions: open, sessions_seen, sent, received };
        (open > 0 || sessions_seen > 0 || sent > 0 || received > 0).then_some(activity)
    }
}

#[derive(Default)]
struct State {
    next: u64,
    down: Option<Cut>,
    clusters: HashMap<ClusterId, Cluster>,
}

/// Every live session.
#[derive(Default)]
pub(crate) struct Sessions {
    state: Mutex<State>,
    changes: AtomicU64,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Grows with every change of any policy. Who decided on an older policy must look again after
    /// [`Sessions::register`] and [`Live::enter`].
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Says that a policy changed, before the sessions are looked at.
    pub(crate) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Adds a session; it is live until the answer is dropped.
    pub(crate) fn register(self: &Arc<Self>, cluster: ClusterId, peer: IpAddr) -> Live {
        let switch = Arc::new(Switch::default());
        let mut state = self.lock();
        state.next += 1;
        let id = state.next;
        if let Some(cut) = state.down {
            switch.turn(cut);
        }
        let entry = Entry { peer, switch: switch.clone(), seat: None };
        state.clusters.entry(cluster).or_default().entries.insert(id, entry);
        Live { sessions: self.clone(), cluster, id, switch }
    }

    /// Whether a cluster is known here.
    pub(crate) fn any(&self, cluster: ClusterId) -> bool {
        self.lock().clusters.contains_key(&cluster)
    }

    /// The clusters that are known here.
    pub(crate) fn clusters(&self) -> Vec<ClusterId> {
        self.lock().clusters.keys().copied().collect()
    }

    /// Cuts the sessions that a cluster's policy does not allow; `None`: the cluster is gone.
    pub(crate) fn enforce(&self, cluster: ClusterId, policy: Option<&Policy>) {
        if let Some(known) = self.lock().clusters.get_mut(&cluster) {
            known.gone = policy.is_none();
            known.entries.values().for_each(|entry| entry.enforce(policy));
        }
    }

    /// Cuts every session, and every later one.
    pub(crate) fn cut_all(&self, cut: Cut) {
        let mut state = self.lock();
        state.down = Some(cut);
        for entry in state.clusters.values().flat_map(|cluster| cluster.entries.values()) {
            entry.switch.turn(cut);
        }
    }

    /// What is to report.
    pub(crate) fn activities(&self) -> Vec<Activity> {
        self.lock().clusters.iter().filter_map(|(id, cluster)| cluster.activity(*id)).collect()
    }

    /// Says that it was reported.
    pub(crate) fn reported(&self, activities: &[Activity]) {
        let mut state = self.lock();
        for activity in activities {
            if let Some(cluster) = state.clusters.get_mut(&activity.cluster) {
                cluster.reported.opened +=
                    u64::from(activity.sessions_seen.saturating_sub(cluster.reported_open));
                cluster.reported.sent += activity.sent;
                cluster.reported.received += activity.received;
                cluster.reported_open = activity.sessions;
            }
        }
        let done = |id: &ClusterId, cluster: &Cluster| {
            cluster.gone && cluster.entries.is_empty() && cluster.activity(*id).is_none()
        };
        state.clusters.retain(|id, cluster| !done(id, cluster));
    }

    /// What each cluster was used for since the start.
    pub(crate) fn usage(&self) -> BTreeMap<ClusterId, Usage> {
        let state = self.lock();
        let read = |cluster: &Cluster| {
            let Totals { sent, received, .. } = cluster.totals();
            Usage { sessions: cluster.open(), sent, received }
        };
        state.clusters.iter().map(|(id, cluster)| (*id, read(cluster))).collect()
    }
}

/// What the one session of a throttled cluster is read with.
pub(crate) type Over = (Notice, Arc<AtomicBool>);

/// Why a session may not enter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The cluster is over its request units.
    Disabled(Notice),
    /// The cluster is over its storage, and its one seat is taken.
    Throttled(Notice),
    /// The cluster has as many as it may.
    Full,
}

/// A live session.
pub(crate) struct Live {
    sessions: Arc<Sessions>,
    id: u64,
    /// Its cluster.
    pub(crate) cluster: ClusterId,
    /// What may end it.
    pub(crate) switch: Arc<Switch>,
}

impl Live {
    /// Makes it one of the cluster's sessions, of which there may be `most`. May be repeated with a
    /// newer policy.
    pub(crate) fn enter(&self, standing: &Standing, most: usize) -> Result<Option<Over>, Closed> {
        let mut state = self.sessions.lock();
        let Some(cluster) = state.clusters.get_mut(&self.cluster) else { return Err(Closed::Full) };
        let open = cluster.entries.iter().filter(|(id, entry)| **id != self.id && entry.seat.is_some());
        let others = open.count();
        let over = match standing {
            Standing::Disabled(notice) => return Err(Closed::Disabled(notice.clone())),
            Standing::Throttled(notice) if others > 0 => return Err(Closed::Throttled(notice.clone())),
            _ if others >= most => return Err(Closed::Full),
            Standing::Throttled(notice) => Some((notice.clone(), Arc::new(AtomicBool::new(true)))),
            Standing::Open => None,
        };
        if let Some(entry) = cluster.entries.get_mut(&self.id) {
            let seat = Seat(over.as_ref().map(|(_, over)| over.clone()));
            if entry.seat.replace(seat).is_none() {
                cluster.past.opened += 1;
            }
        }
        Ok(over)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let mut state = self.sessions.lock();
        if let Some(cluster) = state.clusters.get_mut(&self.cluster) {
            cluster.entries.remove(&self.id);
            cluster.past.sent += self.switch.sent.load(Ordering::Relaxed);
            cluster.past.received += self.switch.received.load(Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
