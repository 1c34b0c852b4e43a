//! The connections that have not authenticated, limited in total and for each address.
//!
//! Beyond a limit, the oldest connection is closed in favor of the new one. A login takes milliseconds, so this hits
//! connections that wait, and clients that log in get through even from an address that keeps many open.

use crate::{error::ClientError, registry::Termination};
use ootheca_model::throttle::network;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};
use tokio::sync::Notify;

/// The address of a client; `None` while a PROXY header is expected that contains it.
type Group = Option<IpAddr>;

/// All connections that have not authenticated.
pub(crate) struct Unauthenticated {
    max: usize,
    max_per_address: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next_id: u64,
    count: usize,
    /// The gateway shuts down.
    closed: bool,
    /// By ID, so that the oldest is the first.
    groups: HashMap<Group, BTreeMap<u64, Arc<Notify>>>,
}

impl State {
    fn insert(&mut self, group: Group, eviction: Arc<Notify>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.groups.entry(group).or_default().insert(id, eviction);
        self.count += 1;
        id
    }

    fn remove(&mut self, group: Group, id: u64) -> Option<Arc<Notify>> {
        let connections = self.groups.get_mut(&group)?;
        let removed = connections.remove(&id)?;
        if connections.is_empty() {
            self.groups.remove(&group);
        }
        self.count -= 1;
        Some(removed)
    }

    fn evict_oldest(&mut self, group: Group) {
        let oldest = self.groups.get(&group).and_then(|connections| connections.keys().next().copied());
        if let Some(eviction) = oldest.and_then(|id| self.remove(group, id)) {
            eviction.notify_one();
        }
    }
}

impl Unauthenticated {
    pub(crate) fn new(max: usize, max_per_address: usize) -> Self {
        Self { max: max.max(1), max_per_address: max_per_address.max(1), state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Adds a connection until the returned value is dropped. If there are too many, the oldest one of the same
    /// address is evicted, or of the address that has the most.
    pub(crate) fn enter(self: &Arc<Self>, client: Option<IpAddr>) -> PendingConnection {
        let (group, eviction) = (client.map(network), Arc::<Notify>::default());
        let id = self.insert(group, eviction.clone());
        PendingConnection { connections: self.clone(), group, id, eviction }
    }

    fn insert(&self, group: Group, eviction: Arc<Notify>) -> u64 {
        let mut state = self.lock();
        if state.closed {
            eviction.notify_one();
        }
        let of_group = state.groups.get(&group).map_or(0, BTreeMap::len);
        if group.is_some() && of_group >= self.max_per_address {
            state.evict_oldest(group);
        } else if state.count >= self.max {
            let largest = state.groups.iter().max_by_key(|(_, connections)| connections.len());
            if let Some(group) = largest.map(|(group, _)| *group) {
                state.evict_oldest(group);
            }
        }
        state.insert(group, eviction)
    }

    /// Evicts all connections, and those that enter later, because the gateway shuts down.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for eviction in state.groups.values().flat_map(BTreeMap::values) {
            eviction.notify_one();
        }
    }
}

/// A connection that has not authenticated.
pub(crate) struct PendingConnection {
    connections: Arc<Unauthenticated>,
    group: Group,
    id: u64,
    eviction: Arc<Notify>,
}

impl PendingConnection {
    /// Counts the connection for the client's address, which was not known before.
    pub(crate) fn identify(&mut self, client: IpAddr) {
        if self.connections.lock().remove(self.group, self.id).is_some() {
            self.group = Some(network(client));
            self.id = self.connections.insert(self.group, self.eviction.clone());
        }
    }

    /// Records that the client has authenticated. From now on, the connection is not evicted.
    pub(crate) fn authenticated(&self) {
        self.connections.lock().remove(self.group, self.id);
    }

    /// Waits until the connection has to make room for others, or the gateway shuts down. Returns the error for the
    /// client.
    pub(crate) async fn evicted(&self) -> ClientError {
        self.eviction.notified().await;
        if self.connections.lock().closed {
            ClientError::terminated(Termination::Shutdown, None)
        } else {
            ClientError::too_many_unauthenticated()
        }
    }
}

impl Drop for PendingConnection {
    fn drop(&mut self) {
        self.connections.lock().remove(self.group, self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn address(number: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(number.into()))
    }

    fn evicted(connections: &[PendingConnection]) -> Vec<bool> {
        connections.iter().map(|connection| connection.evicted().now_or_never().is_some()).collect()
    }

    #[test]
    fn the_oldest_connection_of_an_address_makes_room_for_a_new_one() {
        let all = Arc::new(Unauthenticated::new(100, 2));
        let other = all.enter(address(2));
        let connections: Vec<_> = (0..4).map(|_| all.enter(address(1))).collect();
        assert_eq!(evicted(&connections), [true, true, false, false]);
        assert_eq!(evicted(&[other]), [false]);
        drop(connections);
        let state = all.lock();
        assert_eq!((state.count, state.groups.len()), (0, 0));
    }

    #[test]
    fn the_address_with_the_most_connections_makes_room_for_another_one() {
        let all = Arc::new(Unauthenticated::new(4, 100));
        let mut connections = vec![all.enter(address(1))];
        connections.extend((0..3).map(|_| all.enter(address(2))));
        connections.extend([all.enter(address(3)), all.enter(None)]);
        assert_eq!(evicted(&connections), [false, true, true, false, false, false]);
    }

    #[test]
    fn a_connection_counts_for_its_address_once_that_is_known() {
        let all = Arc::new(Unauthenticated::new(100, 1));
        let mut connections = vec![all.enter(None), all.enter(None)];
        for connection in &mut connections {
            connection.identify(address(1).expect("an address"));
        }
        assert_eq!(evicted(&connections), [true, false]);
        connections[0].identify(address(2).expect("an address"));
        assert_eq!(all.lock().count, 1, "an evicted connection does not count again");
        connections[1].authenticated();
        let _other = all.enter(address(1));
        assert_eq!(all.lock().count, 1);
        assert_eq!(evicted(&connections), [false, false], "an authenticated connection is not evicted");
    }

    #[test]
    fn a_shutdown_evicts_all_connections() {
        let all = Arc::new(Unauthenticated::new(100, 100));
        let mut connections: Vec<_> = (1..4).map(|number| all.enter(address(number))).collect();
        connections[0].authenticated();
        all.close();
        connections.push(all.enter(address(1)));
        let reasons = connections.iter().map(|connection| connection.evicted().now_or_never());
        let kinds: Vec<_> = reasons.map(|reason| reason.map(|error| error.kind)).collect();
        assert_eq!(kinds, [None, Some("shutdown"), Some("shutdown"), Some("shutdown")]);
    }
}
