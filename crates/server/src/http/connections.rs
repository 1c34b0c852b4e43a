//! The open connections of a listener, and their limits.
//!
//! A connection that waits for a request, or has sent only a part of one, can be closed in favor of a new one.
//! So clients that only hold connections don't keep others out.

use crate::{descriptors, settings::HttpSettings};
use ipnet::IpNet;
use parking_lot::Mutex;
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use tokio::sync::Notify;

/// The state of a connection that serves a request.
const BUSY: u64 = u64::MAX;

/// The open connections of a listener.
pub struct Connections {
    start: Instant,
    max: usize,
    max_per_address: usize,
    /// Proxies, whose connections belong to many clients.
    trusted: Vec<IpNet>,
    open: Mutex<Vec<Arc<Connection>>>,
}

/// A connection.
pub struct Connection {
    /// The address of the peer.
    pub address: SocketAddr,
    start: Instant,
    /// When it began to wait for a request, in nanoseconds since the start of the listener, or [`BUSY`].
    waiting_since: AtomicU64,
    /// Notified when it has to make room for another connection.
    pub(super) evicted: Notify,
}

impl Connection {
    /// The IP address of the peer.
    pub fn ip(&self) -> IpAddr {
        self.address.ip().to_canonical()
    }

    /// Records that a request was received completely.
    pub fn set_busy(&self) {
        self.waiting_since.store(BUSY, Ordering::Relaxed);
    }

    /// Records that the next request is awaited.
    pub fn set_waiting(&self) {
        let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(BUSY);
        self.waiting_since.store(now.min(BUSY - 1), Ordering::Relaxed);
    }

    fn waiting_since(&self) -> u64 {
        self.waiting_since.load(Ordering::Relaxed)
    }
}

/// A place among the open connections, until it is dropped.
pub struct Place {
    connections: Arc<Connections>,
    /// The connection.
    pub connection: Arc<Connection>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open.lock().retain(|open| !Arc::ptr_eq(open, &self.connection));
    }
}

impl Connections {
    /// No connections, with the limits of the settings, and of this process. A proxy in `trusted` can have as many
    /// connections as all others.
    pub fn new(settings: &HttpSettings, trusted: &[IpNet]) -> Arc<Self> {
        let max = settings.max_connections.clamp(1, descriptors::api_connections());
        Self::limited(max, settings.max_connections_per_address.clamp(1, max), trusted)
    }

    fn limited(max: usize, max_per_address: usize, trusted: &[IpNet]) -> Arc<Self> {
        let (open, trusted) = (Mutex::default(), trusted.to_vec());
        Arc::new(Self { start: Instant::now(), max, max_per_address, trusted, open })
    }

    /// Admits a connection. At a limit, the one that has been waiting for a request the longest is closed
    /// instead, among those of the same address if it is the limit of the address. `None` if none is waiting.
    pub fn admit(self: &Arc<Self>, address: SocketAddr) -> Option<Place> {
        let connection = Arc::new(Connection {
            address,
            start: self.start,
            waiting_since: AtomicU64::new(BUSY),
            evicted: Notify::new(),
        });
        connection.set_waiting();
        let ip = connection.ip();
        let mut open = self.open.lock();
        let is_proxy = self.trusted.iter().any(|network| network.contains(&ip));
        if !is_proxy && open.iter().filter(|open| open.ip() == ip).count() >= self.max_per_address {
            evict(&mut open, |other| other.ip() == ip)?;
        } else if open.len() >= self.max {
            evict(&mut open, |_| true)?;
        }
        open.push(connection.clone());
        drop(open);
        Some(Place { connections: self.clone(), connection })
    }
}

/// Closes one of the waiting connections that `may` be closed.
fn evict(open: &mut Vec<Arc<Connection>>, may: impl Fn(&Connection) -> bool) -> Option<()> {
    let waiting = open.iter().enumerate().filter(|(_, other)| other.waiting_since() != BUSY && may(other));
    let (index, _) = waiting.min_by_key(|(_, other)| other.waiting_since())?;
    open.swap_remove(index).evicted.notify_one();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8) -> SocketAddr {
        ([127, 0, 0, last], 1).into()
    }

    fn is_evicted(place: &Place) -> bool {
        let notified = place.connection.evicted.notified();
        tokio::pin!(notified);
        notified.enable()
    }

    #[test]
    fn the_longest_waiting_connection_makes_room() {
        let connections = Connections::limited(3, 3, &[]);
        let places: Vec<Place> = (1..=3).filter_map(|last| connections.admit(from(last))).collect();
        places[0].connection.set_busy();
        let fourth = connections.admit(from(4)).expect("the second makes room");
        assert_eq!([0, 1, 2].map(|index| is_evicted(&places[index])), [false, true, false]);
        places[2].connection.set_busy();
        fourth.connection.set_busy();
        assert!(connections.admit(from(5)).is_none(), "all are busy");
        places[0].connection.set_waiting();
        assert!(connections.admit(from(5)).is_some());
    }

    #[test]
    fn an_address_only_displaces_its_own_connections() {
        let connections = Connections::limited(10, 2, &["127.0.0.3/32".parse().expect("a network")]);
        let other = connections.admit(from(2)).expect("a place");
        let places: Vec<Place> = (0..2).filter_map(|_| connections.admit(from(1))).collect();
        let third = connections.admit(from(1)).expect("the first makes room");
        assert!(is_evicted(&places[0]) && !is_evicted(&places[1]) && !is_evicted(&other));
        places[1].connection.set_busy();
        third.connection.set_busy();
        assert!(connections.admit(from(1)).is_none());
        assert!(connections.admit(from(2)).is_some());
        let proxied: Vec<Place> = (0..3).filter_map(|_| connections.admit(from(3))).collect();
        assert!(proxied.len() == 3 && !proxied.iter().any(is_evicted));
    }

    #[test]
    fn closed_connections_leave_their_place() {
        let connections = Connections::limited(1, 1, &[]);
        for _ in 0..3 {
            let place = connections.admit(from(1)).expect("a place");
            place.connection.set_busy();
            assert!(connections.admit(from(1)).is_none());
        }
    }
}
