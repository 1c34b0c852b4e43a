//! Live sessions by cluster, and the switch that ends each.

use crate::Policy;
use futures_util::task::AtomicWaker;
use ootheca_model::ClusterId;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::Context,
};

/// Why a session is ended from this side; later ones are stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Cut {
    /// The gateway goes down: end between two transactions.
    Drain = 1,
    /// The gateway goes down: end now.
    Shutdown,
    /// The peer is no longer on the allowlist.
    Policy,
    /// The cluster is gone.
    Deleted,
}

/// The other end of a live session's plug.
#[derive(Default)]
pub(crate) struct Switch {
    cut: AtomicU8,
    waker: AtomicWaker,
}

impl Switch {
    fn turn(&self, cut: Cut) {
        self.cut.fetch_max(cut as u8, Ordering::AcqRel);
        self.waker.wake();
    }

    /// Whether to end. The task that asks is woken when the answer changes.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Option<Cut> {
        self.waker.register(cx.waker());
        match self.cut.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Cut::Drain),
            2 => Some(Cut::Shutdown),
            3 => Some(Cut::Policy),
            _ => Some(Cut::Deleted),
        }
    }
}

struct Entry {
    peer: IpAddr,
    switch: Arc<Switch>,
}

#[derive(Default)]
struct State {
    next: u64,
    down: Option<Cut>,
    clusters: HashMap<ClusterId, HashMap<u64, Entry>>,
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
    /// [`Sessions::register`].
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
        let entry = Entry { peer, switch: switch.clone() };
        state.clusters.entry(cluster).or_default().insert(id, entry);
        Live { sessions: self.clone(), cluster, id, switch }
    }

    /// Whether a cluster has any.
    pub(crate) fn any(&self, cluster: ClusterId) -> bool {
        self.lock().clusters.contains_key(&cluster)
    }

    /// The clusters that have any.
    pub(crate) fn clusters(&self) -> Vec<ClusterId> {
        self.lock().clusters.keys().copied().collect()
    }

    /// Cuts the sessions that a cluster's policy does not allow; `None`: the cluster is gone.
    pub(crate) fn enforce(&self, cluster: ClusterId, policy: Option<&Policy>) {
        let state = self.lock();
        for entry in state.clusters.get(&cluster).into_iter().flat_map(HashMap::values) {
            match policy {
                None => entry.switch.turn(Cut::Deleted),
                Some(policy) if !policy.allows(entry.peer) => entry.switch.turn(Cut::Policy),
                Some(_) => {}
            }
        }
    }

    /// Cuts every session, and every later one.
    pub(crate) fn cut_all(&self, cut: Cut) {
        let mut state = self.lock();
        state.down = Some(cut);
        for entry in state.clusters.values().flat_map(HashMap::values) {
            entry.switch.turn(cut);
        }
    }
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

impl Drop for Live {
    fn drop(&mut self) {
        let mut state = self.sessions.lock();
        if let Some(sessions) = state.clusters.get_mut(&self.cluster) {
            sessions.remove(&self.id);
            if sessions.is_empty() {
                state.clusters.remove(&self.cluster);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn cut(live: &Live) -> Option<Cut> {
        live.switch.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn only_those_that_are_not_allowed() {
        let sessions = Arc::new(Sessions::default());
        let (one, other) = (ClusterId(uuid::Uuid::from_u128(1)), ClusterId(uuid::Uuid::from_u128(2)));
        let near = sessions.register(one, [10, 0, 0, 1].into());
        let far = sessions.register(one, [192, 0, 2, 1].into());
        let elsewhere = sessions.register(other, [192, 0, 2, 1].into());
        let allow = vec!["10.0.0.0/8".parse().expect("a network")];
        let policy = Policy { allow, ..Policy::default() };
        sessions.enforce(one, Some(&policy));
        assert_eq!([&near, &far, &elsewhere].map(cut), [None, Some(Cut::Policy), None]);
        sessions.enforce(one, None);
        assert_eq!([&near, &far, &elsewhere].map(cut), [Some(Cut::Deleted), Some(Cut::Deleted), None]);
        drop((near, far));
        assert!(!sessions.any(one) && sessions.any(other));
        sessions.cut_all(Cut::Drain);
        assert_eq!(cut(&elsewhere), Some(Cut::Drain));
        assert_eq!(cut(&sessions.register(one, [10, 0, 0, 1].into())), Some(Cut::Drain));
    }
}
