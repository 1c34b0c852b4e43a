//! Cancel requests: the keys that the gateway hands out, and what each stands for.
//!
//! A client never sees its server's own key, so a request is only good here, and only with the
//! secret of the session that it is about.

use ootheca_pg_protocol::startup::CancelKey;
use std::{
    collections::HashMap,
    fmt, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use subtle::ConstantTimeEq as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// A session of a cluster's server.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where the server listens.
    pub(crate) socket: Arc<Path>,
    /// The session's key there.
    pub(crate) key: CancelKey,
    /// Counts who holds the target: a request that is on its way does.
    in_use: Arc<()>,
}

impl Target {
    /// The session with `key` at `socket`.
    pub(crate) fn new(socket: Arc<Path>, key: CancelKey) -> Self {
        Self { socket, key, in_use: Arc::default() }
    }

    /// Whether nobody else holds it, so that no request is on its way.
    pub(crate) fn is_alone(&self) -> bool {
        Arc::strong_count(&self.in_use) == 1
    }

    /// Ends the statement that the session runs. Returns when the server has taken the request.
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

/// Every key that is in use.
#[derive(Default)]
pub(crate) struct Keys(Mutex<HashMap<u32, (Vec<u8>, Target)>>);

impl Keys {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, (Vec<u8>, Target)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out a key for a session; it is good until the answer is dropped.
    pub(crate) fn hand_out(self: &Arc<Self>, target: Target) -> HandedOut {
        let secret = rand::random::<[u8; 4]>().to_vec();
        let mut keys = self.lock();
        let pid = loop {
            let pid = rand::random::<u32>() >> 1;
            if pid != 0 && !keys.contains_key(&pid) {
                break pid;
            }
        };
        keys.insert(pid, (secret.clone(), target.clone()));
        HandedOut { keys: self.clone(), key: CancelKey { pid, secret }, target }
    }

    /// The session that a client's key stands for.
    pub(crate) fn find(&self, key: &CancelKey) -> Option<Target> {
        let keys = self.lock();
        let (secret, target) = keys.get(&key.pid)?;
        bool::from(secret.ct_eq(&key.secret)).then(|| target.clone())
    }
}

/// A key in use.
pub(crate) struct HandedOut {
    keys: Arc<Keys>,
    /// What the client knows.
    pub(crate) key: CancelKey,
    /// What it stands for.
    pub(crate) target: Target,
}

impl fmt::Debug for HandedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

impl Drop for HandedOut {
    fn drop(&mut self) {
        self.keys.lock().remove(&self.key.pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_secret_and_only_while_in_use() {
        let keys = Arc::new(Keys::default());
        let own = CancelKey { pid: 5, secret: vec![5; 4] };
        let target = Target::new(Path::new("/nowhere").into(), own.clone());
        let handed = keys.hand_out(target);
        let key = handed.key.clone();
        assert_eq!(keys.find(&key).map(|found| found.key), Some(own.clone()));
        assert!(keys.find(&own).is_none());
        let mut wrong = key.clone();
        wrong.secret[3] ^= 1;
        assert!(keys.find(&wrong).is_none());
        wrong.secret.truncate(3);
        assert!(keys.find(&wrong).is_none());
        let target = handed.target.clone();
        let on_its_way = keys.find(&key);
        drop(handed);
        assert!(keys.find(&key).is_none() && !target.is_alone());
        drop(on_its_way);
        assert!(target.is_alone());
    }
}
