//! Server connections of ended sessions, for later sessions that are identical.
//!
//! A connection is pooled only after the server has answered `DISCARD ALL` with exactly the expected
//! messages, and is reused only for the same cluster, socket, startup message, and client key. Pooled
//! connections are not watched; taking one checks that it is still open and has sent nothing.

use crate::{
    backend::{BackendSession, BackendSocket, ParameterStatuses},
    registry::{Registry, cancel::CancelTarget},
};
use ootheca_model::ClusterId;
use ootheca_pg_protocol::{
    backend::{
        COMMAND_COMPLETE, DATA_ROW, NOTICE_RESPONSE, NOTIFICATION_RESPONSE, PARAMETER_STATUS,
        READY_FOR_QUERY, ROW_DESCRIPTION, row_values,
    },
    frontend::QUERY,
    message,
    scram::ClientKey,
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    future::poll_fn,
    io::{self, Read as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, interval, timeout};

const MAX_PER_CLUSTER: usize = 128;
const RESET_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_MESSAGE_LENGTH: usize = 16 * 1024;
/// Both the query, and the command tag of its answer.
const DISCARD_ALL: &[u8] = b"DISCARD ALL\0";
/// What a server checks, besides the password, before it lets a user connect, and whether the number of connections
/// is not limited. A user can have its own operators before those of PostgreSQL in `search_path`.
const ADMITS: &[u8] = b"SELECT d.datallowconn AND pg_catalog.has_database_privilege(d.oid, 'CONNECT'), \
    r.rolconnlimit OPERATOR(pg_catalog.<) 0 AND d.datconnlimit OPERATOR(pg_catalog.<) 0 \
    FROM pg_catalog.pg_database d, pg_catalog.pg_roles r \
    WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() \
    AND r.rolname OPERATOR(pg_catalog.=) session_user\0";
/// Whether the connections, including this one, are within the limits. Planning this takes longer than [`ADMITS`].
const WITHIN_LIMITS: &[u8] = b"SELECT \
    (r.rolconnlimit OPERATOR(pg_catalog.<) 0 OR r.rolconnlimit OPERATOR(pg_catalog.>=) (SELECT pg_catalog.count(*) \
        FROM pg_catalog.pg_stat_activity a WHERE a.usesysid OPERATOR(pg_catalog.=) r.oid)), \
    (d.datconnlimit OPERATOR(pg_catalog.<) 0 OR d.datconnlimit OPERATOR(pg_catalog.>=) (SELECT pg_catalog.count(*) \
        FROM pg_catalog.pg_stat_activity a WHERE a.datid OPERATOR(pg_catalog.=) d.oid)) \
    FROM pg_catalog.pg_database d, pg_catalog.pg_roles r \
    WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() \
    AND r.rolname OPERATOR(pg_catalog.=) session_user\0";
const SWEEP_INTERVAL: Duration = Duration::from_millis(250);

/// What two sessions must have in common to use the same server connection.
pub(crate) struct PoolKey {
    pub(crate) socket: Arc<Path>,
    /// The startup message, as sent to the server.
    pub(crate) startup: Vec<u8>,
    pub(crate) client_key: ClientKey,
}

struct Pooled {
    key: PoolKey,
    socket: UnixStream,
    opened: Instant,
    parameters: ParameterStatuses,
    cancel_target: CancelTarget,
    since: Instant,
}

pub(crate) struct Pool {
    max_idle: Duration,
    lifetime: Duration,
    registry: Arc<Registry>,
    connections: Mutex<HashMap<ClusterId, Vec<Pooled>>>,
}

impl Pool {
    /// A pool that keeps each connection for `max_idle`, but not beyond the age `lifetime`.
    pub(crate) fn new(max_idle: Duration, lifetime: Duration, registry: Arc<Registry>) -> Self {
        Self { max_idle, lifetime, registry, connections: Mutex::default() }
    }

    pub(crate) fn is_enabled(&self) -> bool {
        !self.max_idle.is_zero() && !self.lifetime.is_zero()
    }

    /// Whether a connection that was opened at `opened` and is unused since `since` can still be reused.
    fn is_fresh(&self, opened: Instant, since: Instant, now: Instant) -> bool {
        now.duration_since(since) < self.max_idle && now.duration_since(opened) < self.lifetime
    }

    /// Takes the most recent usable connection for a startup message and a client key. Returns it with the path of
    /// its socket, which is to be compared.
    pub(crate) fn take(
        &self,
        cluster: ClusterId,
        startup: &[u8],
        client_key: &ClientKey,
    ) -> Option<(Arc<Path>, BackendSession)> {
        let matches = |pooled: &Pooled| pooled.key.startup == startup && pooled.key.client_key == *client_key;
        loop {
            let Pooled { key, socket, opened, parameters, cancel_target, since } = {
                let mut connections = self.connections.lock();
                let of_cluster = connections.get_mut(&cluster)?;
                let found = of_cluster.iter().rposition(matches)?;
                of_cluster.swap_remove(found)
            };
            let silent =
                matches!((&socket).read(&mut [0]), Err(cause) if cause.kind() == io::ErrorKind::WouldBlock);
            let fresh = self.is_fresh(opened, since, Instant::now());
            if silent && fresh && cancel_target.is_unshared() {
                let (cancel_target, notices, trailing) = (Some(cancel_target), Vec::new(), Vec::new());
                let session = BackendSession { socket, opened, parameters, cancel_target, notices, trailing };
                return Some((key.socket, session));
            }
        }
    }

    /// Closes the connections of a cluster. Returns whether there were any.
    pub(crate) fn evict(&self, cluster: ClusterId) -> bool {
        let evicted = self.connections.lock().remove(&cluster);
        evicted.is_some_and(|connections| !connections.is_empty())
    }

    /// Closes all connections.
    pub(crate) fn clear(&self) {
        let all = std::mem::take(&mut *self.connections.lock());
        drop(all);
    }

    /// Closes connections that nothing has taken in time, and those that are too old. Never returns.
    pub(crate) async fn sweep(self: Arc<Self>) {
        let mut interval = interval(SWEEP_INTERVAL);
        loop {
            let now = interval.tick().await;
            self.connections.lock().retain(|_, of_cluster| {
                of_cluster.retain(|pooled| self.is_fresh(pooled.opened, pooled.since, now));
                !of_cluster.is_empty()
            });
        }
    }

    /// Adds a connection, unless a policy has changed since `seen_changes`: evictions do not wait for
    /// connections that are being reset.
    fn insert(&self, cluster: ClusterId, pooled: Pooled, seen_changes: u64) {
        let mut connections = self.connections.lock();
        if !pooled.cancel_target.is_unshared() || self.registry.policy_changes() != seen_changes {
            return;
        }
        let of_cluster = connections.entry(cluster).or_default();
        if of_cluster.len() < MAX_PER_CLUSTER {
            of_cluster.push(pooled);
        }
    }
}

/// The server connection of a session that has ended.
pub(crate) struct Released {
    pub(crate) cluster: ClusterId,
    pub(crate) key: PoolKey,
    pub(crate) socket: BackendSocket,
    pub(crate) opened: Instant,
    pub(crate) parameters: ParameterStatuses,
    pub(crate) cancel_target: CancelTarget,
}

impl Released {
    /// Resets the connection and adds it to the pool. Closes it if it is too old or the reset fails.
    pub(crate) async fn return_to(mut self, pool: &Pool) {
        let now = Instant::now();
        if !pool.is_fresh(self.opened, now, now) {
            return;
        }
        let seen_changes = pool.registry.policy_changes();
        let reset = reset(&mut self.socket, &mut self.parameters);
        match timeout(RESET_TIMEOUT, reset).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return tracing::debug!("server connection not reset: unexpected answer"),
            Ok(Err(cause)) => return tracing::debug!(%cause, "server connection not reset"),
            Err(_) => return tracing::debug!("server connection not reset: timeout"),
        }
        let Some(socket) = self.socket.into_inner() else { return };
        let Self { cluster, key, opened, parameters, cancel_target, .. } = self;
        let pooled = Pooled { key, socket, opened, parameters, cancel_target, since: Instant::now() };
        pool.insert(cluster, pooled, seen_changes);
    }
}

/// Runs `DISCARD ALL`. Returns whether the session is in its initial state now.
async fn reset(server: &mut BackendSocket, parameters: &mut ParameterStatuses) -> io::Result<bool> {
    exchange(server, DISCARD_ALL, |bytes| check_reset(bytes, parameters)).await
}

/// Asks the server whether it would still let the user of a pooled connection connect to its database.
pub(crate) async fn admits(session: BackendSession) -> Option<BackendSession> {
    let BackendSession { socket, opened, parameters, cancel_target, notices, trailing } = session;
    let mut socket = BackendSocket::new(socket).ok()?;
    match timeout(RESET_TIMEOUT, asks(&mut socket)).await {
        Ok(Ok(true)) => {}
        answer => {
            tracing::debug!(?answer, "pooled connection not used");
            return None;
        }
    }
    let socket = socket.into_inner()?;
    Some(BackendSession { socket, opened, parameters, cancel_target, notices, trailing })
}

async fn asks(server: &mut BackendSocket) -> io::Result<bool> {
    match exchange(server, ADMITS, check_row).await? {
        Some([true, true]) => Ok(true),
        Some([true, false]) => Ok(exchange(server, WITHIN_LIMITS, check_row).await? == Some([true, true])),
        _ => Ok(false),
    }
}

/// Sends a query, and reads until `check` knows the result. Returns the default if the server closes the connection.
async fn exchange<T: Default>(
    server: &mut BackendSocket,
    query: &[u8],
    mut check: impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<T> {
    let query = message::encode(QUERY, query);
    let mut rest = query.as_slice();
    while !rest.is_empty() {
        let count = poll_fn(|cx| server.poll_write(cx, rest)).await?;
        rest = &rest[count..];
    }
    let (mut bytes, mut chunk) = (Vec::new(), [0; 512]);
    loop {
        let count = poll_fn(|cx| server.poll_read(cx, &mut chunk)).await?;
        if count == 0 {
            return Ok(T::default());
        }
        bytes.extend_from_slice(&chunk[..count]);
        if let Some(result) = check(&bytes) {
            return Ok(result);
        }
    }
}

/// The two values of the only row of an answer, `None` for any other answer; the outer `None` if it is incomplete.
fn check_row(bytes: &[u8]) -> Option<Option<[bool; 2]>> {
    let mut row = None;
    check_answer(bytes, |kind, body| match kind {
        ROW_DESCRIPTION | COMMAND_COMPLETE => true,
        DATA_ROW if row.is_none() => {
            let values: Vec<bool> = row_values(body).map(|value| value == Some(b"t")).collect();
            row = values.try_into().ok();
            row.is_some()
        }
        _ => false,
    })
    .map(|expected| row.filter(|_| expected))
}

/// Whether the answer to `DISCARD ALL` is the expected one; `None` if it is incomplete. Records the
/// settings that returned to their initial values.
fn check_reset(bytes: &[u8], parameters: &mut ParameterStatuses) -> Option<bool> {
    let mut discarded = false;
    check_answer(bytes, |kind, body| match (kind, body) {
        (PARAMETER_STATUS, body) => {
            parameters.record(body);
            true
        }
        (COMMAND_COMPLETE, DISCARD_ALL) if !discarded => {
            discarded = true;
            true
        }
        _ => false,
    })
    .map(|expected| expected && discarded)
}

/// Whether all messages of an answer are notices or accepted by `accept`, up to a session that is idle outside of a
/// transaction; `None` if the answer is incomplete.
fn check_answer(mut bytes: &[u8], mut accept: impl FnMut(u8, &[u8]) -> bool) -> Option<bool> {
    loop {
        let frame = match message::first(bytes, MAX_MESSAGE_LENGTH) {
            Ok(frame) => frame?,
            Err(_) => return Some(false),
        };
        bytes = &bytes[frame.length()..];
        match (frame.kind, frame.body) {
            (NOTICE_RESPONSE | NOTIFICATION_RESPONSE, _) => {}
            (READY_FOR_QUERY, b"I") => return Some(bytes.is_empty()),
            (kind, body) if accept(kind, body) => {}
            _ => return Some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(messages: &[(u8, &[u8])]) -> Option<bool> {
        let bytes: Vec<u8> = messages.iter().flat_map(|(kind, body)| message::encode(*kind, body)).collect();
        check_reset(&bytes, &mut ParameterStatuses::default())
    }

    #[test]
    fn connections_are_reused_up_to_an_idle_time_and_an_age() {
        let second = Duration::from_secs(1);
        let pool = Pool::new(10 * second, 60 * second, Arc::default());
        let opened = Instant::now();
        let at = |seconds: u32| opened + seconds * second;
        let fresh = |since, now| pool.is_fresh(opened, at(since), at(now));
        assert!(fresh(0, 9) && fresh(55, 59));
        assert!(!fresh(0, 10), "unused for too long");
        assert!(!fresh(55, 60), "too old");
        assert!(pool.is_enabled());
        assert!(!Pool::new(10 * second, Duration::ZERO, Arc::default()).is_enabled());
    }

    #[test]
    fn only_the_expected_answer_counts_as_a_reset() {
        let (tag, ready) = ((b'C', DISCARD_ALL), (b'Z', &b"I"[..]));
        assert_eq!(check(&[tag, ready]), Some(true));
        assert_eq!(check(&[(b'A', b"x"), tag, (b'S', b"a\0b\0"), ready]), Some(true));
        assert_eq!(check(&[tag]), None);
        for wrong in [
            vec![ready],
            vec![tag, ready, ready],
            vec![tag, tag, ready],
            vec![(b'D', &b"x"[..]), tag, ready],
            vec![(b'C', b"SELECT 1\0"), ready],
            vec![tag, (b'Z', b"T")],
            vec![(b'E', b"\0"), ready],
        ] {
            assert_eq!(check(&wrong), Some(false), "{wrong:?}");
        }
    }

    #[test]
    fn settings_changed_by_the_reset_are_recorded() {
        let mut parameters = ParameterStatuses::default();
        parameters.record(b"a\x001\0");
        parameters.record(b"b\x002\0");
        let bytes = [
            message::encode(b'C', DISCARD_ALL),
            message::encode(b'S', b"a\x003\0"),
            message::encode(b'Z', b"I"),
        ];
        assert_eq!(check_reset(&bytes.concat(), &mut parameters), Some(true));
        let mut out = Vec::new();
        parameters.put(&mut out);
        assert_eq!(out, b"S\0\0\0\x08a\x003\0S\0\0\0\x08b\x002\0");
    }

    #[test]
    fn only_one_row_of_two_values_counts_as_an_answer() {
        let check = |messages: &[(u8, &[u8])]| {
            let bytes: Vec<u8> =
                messages.iter().flat_map(|(kind, body)| message::encode(*kind, body)).collect();
            check_row(&bytes)
        };
        let row = |value: &'static [u8]| (DATA_ROW, value);
        let (both, first) = (row(b"\0\x02\0\0\0\x01t\0\0\0\x01t"), row(b"\0\x02\0\0\0\x01t\0\0\0\x01f"));
        let (null, one) = (row(b"\0\x02\xff\xff\xff\xff\0\0\0\x01t"), row(b"\0\x01\0\0\0\x01t"));
        let (tag, ready) = ((COMMAND_COMPLETE, &b"SELECT 1\0"[..]), (READY_FOR_QUERY, &b"I"[..]));
        assert_eq!(check(&[(ROW_DESCRIPTION, b""), both, tag, ready]), Some(Some([true, true])));
        assert_eq!(check(&[first, tag, ready]), Some(Some([true, false])));
        assert_eq!(check(&[null, tag, ready]), Some(Some([false, true])));
        assert_eq!(check(&[both, tag]), None);
        for other in [
            vec![one, tag, ready],
            vec![both, both, tag, ready],
            vec![tag, ready],
            vec![(b'E', b"\0"), ready],
        ] {
            assert_eq!(check(&other), Some(None), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = check_row(&bytes);
            let _ = check_reset(&bytes, &mut ParameterStatuses::default());
        }
    }
}
