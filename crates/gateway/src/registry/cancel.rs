//! Cancel requests: the keys that the gateway issues, and the sessions that they identify.
//!
//! Clients never learn the keys of their servers. So a cancel request works only through the gateway, and
//! only with the secret of the session that it identifies.

use ootheca_pg_protocol::startup::CancelKey;
use parking_lot::Mutex;
use std::{collections::HashMap, fmt, io, path::Path, sync::Arc, time::Duration};
use subtle::ConstantTimeEq as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// A session at a cluster's server, as the target of cancel requests.
#[derive(Clone, Debug)]
pub(crate) struct CancelTarget {
    socket: Arc<Path>,
    key: CancelKey,
    /// Counts the clones; a request in flight holds one.
    in_use: Arc<()>,
}

impl CancelTarget {
    /// The session with `key` at the server that listens on `socket`.
    pub(crate) fn new(socket: Arc<Path>, key: CancelKey) -> Self {
        Self { socket, key, in_use: Arc::default() }
    }

    /// Whether this is the only clone, so that no request can be in flight.
    pub(crate) fn is_unshared(&self) -> bool {
        Arc::strong_count(&self.in_use) == 1
    }

    /// Cancels the session's running statement. Returns once the server has processed the request.
    pub(crate) async fn cancel(&self) -> io::Result<()> {
        let send = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            stream.write_all(&self.key.cancel_request()).await?;
            stream.read_u8().await.map(|_| ()).or_else(|cause| match cause.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Ok(()),
                _ => Err(cause),
            })
        };
        timeout(SEND_TIMEOUT, send).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// All issued keys: secrets and targets by process ID.
#[derive(Default)]
pub(crate) struct CancelKeys(Mutex<HashMap<u32, (Vec<u8>, CancelTarget)>>);

impl CancelKeys {
    /// Issues a key for a session. It is valid until the returned value is dropped.
    pub(crate) fn issue(self: &Arc<Self>, target: CancelTarget) -> IssuedKey {
        let secret = rand::random::<[u8; 4]>().to_vec();
        let mut keys = self.0.lock();
        let pid = loop {
            let pid = rand::random::<u32>() >> 1;
            if pid != 0 && !keys.contains_key(&pid) {
                break pid;
            }
        };
        keys.insert(pid, (secret.clone(), target.clone()));
        IssuedKey { keys: self.clone(), key: CancelKey { pid, secret }, target }
    }

    /// The session that a client's key identifies.
    pub(crate) fn find(&self, key: &CancelKey) -> Option<CancelTarget> {
        let keys = self.0.lock();
        let (secret, target) = keys.get(&key.pid)?;
        bool::from(secret.ct_eq(&key.secret)).then(|| target.clone())
    }
}

/// A valid key.
pub(crate) struct IssuedKey {
    keys: Arc<CancelKeys>,
    /// The key that the client receives.
    pub(crate) key: CancelKey,
    pub(crate) target: CancelTarget,
}

impl fmt::Debug for IssuedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

impl Drop for IssuedKey {
    fn drop(&mut self) {
        self.keys.0.lock().remove(&self.key.pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_need_the_right_secret_and_expire() {
        let keys = Arc::new(CancelKeys::default());
        let server_key = CancelKey { pid: 5, secret: vec![5; 4] };
        let target = CancelTarget::new(Path::new("/nonexistent").into(), server_key.clone());
        let issued = keys.issue(target);
        let key = issued.key.clone();
        assert_eq!(keys.find(&key).map(|found| found.key), Some(server_key.clone()));
        assert!(keys.find(&server_key).is_none());
        let mut wrong = key.clone();
        wrong.secret[3] ^= 1;
        assert!(keys.find(&wrong).is_none());
        wrong.secret.truncate(3);
        assert!(keys.find(&wrong).is_none());
        let target = issued.target.clone();
        let in_flight = keys.find(&key);
        drop(issued);
        assert!(keys.find(&key).is_none() && !target.is_unshared());
        drop(in_flight);
        assert!(target.is_unshared());
    }
}
