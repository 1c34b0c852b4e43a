//! Server connections that sessions have left, for the next who asks for the very same.
//!
//! One is kept only when the server has answered `DISCARD ALL` to the letter, and only for the same
//! cluster, socket, startup message and client key. Nobody watches it while it is kept: who takes it
//! looks whether it is still there and has said nothing.

use crate::{
    backend::{Backend, Parameters, Server},
    registry::{Sessions, cancel::Target},
};
use ootheca_model::ClusterId;
use ootheca_pg_protocol::{
    backend::{COMMAND_COMPLETE, NOTICE_RESPONSE, NOTIFICATION_RESPONSE, PARAMETER_STATUS, READY_FOR_QUERY},
    frontend::QUERY,
    message,
    scram::ClientKey,
};
use std::{
    collections::HashMap,
    future::poll_fn,
    io::{self, Read as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, interval, timeout};

/// The most of a cluster.
const MOST: usize = 128;
const RESET_TIMEOUT: Duration = Duration::from_secs(2);
const LONGEST_MESSAGE: usize = 16 * 1024;
const TAG: &[u8] = b"DISCARD ALL\0";
const SWEEP: Duration = Duration::from_millis(250);

/// Who may have a connection.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) socket: Arc<Path>,
    /// The startup message, as the server got it.
    pub(crate) startup: Vec<u8>,
    pub(crate) key: ClientKey,
}

struct Kept {
    identity: Identity,
    socket: UnixStream,
    parameters: Parameters,
    target: Target,
    since: Instant,
}

/// What is kept.
pub(crate) struct Pool {
    time: Duration,
    sessions: Arc<Sessions>,
    kept: Mutex<HashMap<ClusterId, Vec<Kept>>>,
}

impl Pool {
    /// Keeps each for so long.
    pub(crate) fn new(time: Duration, sessions: Arc<Sessions>) -> Self {
        Self { time, sessions, kept: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClusterId, Vec<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything is ever kept.
    pub(crate) fn is_on(&self) -> bool {
        !self.time.is_zero()
    }

    /// The connection that was left last, if it is still good.
    pub(crate) fn take(&self, cluster: ClusterId, identity: &Identity) -> Option<Server> {
        loop {
            let Kept { socket, parameters, target, since, .. } = {
                let mut kept = self.lock();
                let of_cluster = kept.get_mut(&cluster)?;
                let found = of_cluster.iter().rposition(|kept| kept.identity == *identity)?;
                of_cluster.swap_remove(found)
            };
            let silent =
                matches!((&socket).read(&mut [0]), Err(cause) if cause.kind() == io::ErrorKind::WouldBlock);
            if silent && since.elapsed() < self.time && target.is_alone() {
                let target = Some(target);
                return Some(Server { socket, parameters, target, notices: Vec::new(), rest: Vec::new() });
            }
        }
    }

    /// Lets those of a cluster go, if there are any.
    pub(crate) fn evict(&self, cluster: ClusterId) -> bool {
        let evicted = self.lock().remove(&cluster);
        evicted.is_some_and(|kept| !kept.is_empty())
    }

    /// Lets all go.
    pub(crate) fn clear(&self) {
        let all = std::mem::take(&mut *self.lock());
        drop(all);
    }

    /// Lets those go that nobody came for, for ever.
    pub(crate) async fn sweep(self: Arc<Self>) {
        let mut sweep = interval(SWEEP);
        loop {
            sweep.tick().await;
            self.lock().retain(|_, kept| {
                kept.retain(|kept| kept.since.elapsed() < self.time);
                !kept.is_empty()
            });
        }
    }

    /// Keeps one, unless a policy changed since `seen`: who evicts says so before.
    fn keep(&self, cluster: ClusterId, kept: Kept, seen: u64) {
        let mut all = self.lock();
        if !kept.target.is_alone() || self.sessions.changes() != seen {
            return;
        }
        let of_cluster = all.entry(cluster).or_default();
        if of_cluster.len() < MOST {
            of_cluster.push(kept);
        }
    }
}

/// A server connection whose session has ended.
pub(crate) struct Left {
    pub(crate) cluster: ClusterId,
    pub(crate) identity: Identity,
    pub(crate) server: Backend,
    pub(crate) parameters: Parameters,
    pub(crate) target: Target,
}

impl Left {
    /// Resets it and keeps it. Without a clean answer it is closed.
    pub(crate) async fn offer(mut self, pool: &Pool) {
        let seen = pool.sessions.changes();
        let reset = reset(&mut self.server, &mut self.parameters);
        match timeout(RESET_TIMEOUT, reset).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return tracing::debug!("a server connection could not be reset"),
            Ok(Err(cause)) => return tracing::debug!(%cause, "a server connection could not be reset"),
            Err(_) => return tracing::debug!("a server connection was not reset in time"),
        }
        let Some(socket) = self.server.into_inner() else { return };
        let (identity, parameters, target, since) =
            (self.identity, self.parameters, self.target, Instant::now());
        let kept = Kept { identity, socket, parameters, target, since };
        pool.keep(self.cluster, kept, seen);
    }
}

/// Whether the server is as new.
async fn reset(server: &mut Backend, parameters: &mut Parameters) -> io::Result<bool> {
    let query = message::encode(QUERY, TAG);
    let mut rest = query.as_slice();
    while !rest.is_empty() {
        let count = poll_fn(|cx| server.poll_write(cx, rest)).await?;
        rest = &rest[count..];
    }
    let (mut bytes, mut chunk) = (Vec::new(), [0; 512]);
    loop {
        let count = poll_fn(|cx| server.poll_read(cx, &mut chunk)).await?;
        if count == 0 {
            return Ok(false);
        }
        bytes.extend_from_slice(&chunk[..count]);
        if let Some(clean) = answer(&bytes, parameters) {
            return Ok(clean);
        }
    }
}

/// Whether the answer to `DISCARD ALL` is what it must be; `None`: it is not all there. Settings that
/// went back to what they were are noted.
fn answer(mut bytes: &[u8], parameters: &mut Parameters) -> Option<bool> {
    let mut discarded = false;
    loop {
        let frame = match message::first(bytes, LONGEST_MESSAGE) {
            Ok(frame) => frame?,
            Err(_) => return Some(false),
        };
        bytes = &bytes[frame.length()..];
        match (frame.kind, frame.body) {
            (PARAMETER_STATUS, body) => parameters.note(body),
            (NOTICE_RESPONSE | NOTIFICATION_RESPONSE, _) => {}
            (COMMAND_COMPLETE, TAG) if !discarded => discarded = true,
            (READY_FOR_QUERY, b"I") => return Some(discarded && bytes.is_empty()),
            _ => return Some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(messages: &[(u8, &[u8])]) -> Option<bool> {
        let bytes: Vec<u8> = messages.iter().flat_map(|(kind, body)| message::encode(*kind, body)).collect();
        answer(&bytes, &mut Parameters::default())
    }

    #[test]
    fn only_the_one_answer() {
        let (tag, ready) = ((b'C', TAG), (b'Z', &b"I"[..]));
        assert_eq!(read(&[tag, ready]), Some(true));
        assert_eq!(read(&[(b'A', b"x"), tag, (b'S', b"a\0b\0"), ready]), Some(true));
        assert_eq!(read(&[tag]), None);
        for wrong in [
            vec![ready],
            vec![tag, ready, ready],
            vec![tag, tag, ready],
            vec![(b'D', &b"x"[..]), tag, ready],
            vec![(b'C', b"SELECT 1\0"), ready],
            vec![tag, (b'Z', b"T")],
            vec![(b'E', b"\0"), ready],
        ] {
            assert_eq!(read(&wrong), Some(false), "{wrong:?}");
        }
    }

    #[test]
    fn settings_go_back() {
        let mut parameters = Parameters::default();
        parameters.note(b"a\x001\0");
        parameters.note(b"b\x002\0");
        let bytes =
            [message::encode(b'C', TAG), message::encode(b'S', b"a\x003\0"), message::encode(b'Z', b"I")];
        assert_eq!(answer(&bytes.concat(), &mut parameters), Some(true));
        let mut out = Vec::new();
        parameters.put(&mut out);
        assert_eq!(out, b"S\0\0\0\x08a\x003\0S\0\0\0\x08b\x002\0");
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = answer(&bytes, &mut Parameters::default());
        }
    }
}
