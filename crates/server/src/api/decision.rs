//! What a handler returns to change something: the batch to commit, and how the reply is obtained.

use ootheca_model::{Cluster, ClusterId, Result};
use ootheca_store::Batch;
use std::{future::Future, pin::Pin};

/// A future that runs after the handler has returned.
pub type Later<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// How the reply is obtained.
pub enum Reply<T> {
    /// The reply is known.
    Ready(T),
    /// After the batch is committed, by waiting for the reconciler.
    Pending(Later<T>),
    /// By a side effect outside the store. The audit entry is written first, as interrupted, and completed
    /// when the side effect has ended.
    SideEffect(Later<T>),
}

/// A decision: the changes, the reply, and details of the audit entry.
pub struct Decision<T> {
    /// The changes; the pipeline adds the audit entry and commits.
    pub batch: Batch,
    /// The answer.
    pub reply: Reply<T>,
    /// The audit action, if it is not the one in the table.
    pub action: Option<&'static str>,
    /// The cluster of the audit entry, if the path does not contain it.
    pub cluster: Option<(ClusterId, String)>,
    /// The session of the audit entry, if the change opens it.
    pub session_id: Option<String>,
    /// `Set-Cookie`.
    pub cookie: Option<String>,
}

impl<T: Send + 'static> Decision<T> {
    /// A change whose reply is known before the commit.
    pub fn now(batch: Batch, reply: T) -> Self {
        Self::new(batch, Reply::Ready(reply))
    }

    /// A change with any kind of reply.
    pub fn new(batch: Batch, reply: Reply<T>) -> Self {
        Self { batch, reply, action: None, cluster: None, session_id: None, cookie: None }
    }

    /// Sets the audit action.
    #[must_use]
    pub fn action(mut self, action: &'static str) -> Self {
        self.action = Some(action);
        self
    }

    /// Sets the cluster of the audit entry.
    #[must_use]
    pub fn cluster(mut self, cluster: &Cluster) -> Self {
        self.cluster = Some((cluster.id, cluster.name.clone()));
        self
    }

    /// Sets the session of the audit entry.
    #[must_use]
    pub fn session_id(mut self, id: &str) -> Self {
        self.session_id = Some(id.to_owned());
        self
    }

    /// Sets the cookie of the response.
    #[must_use]
    pub fn cookie(mut self, cookie: String) -> Self {
        self.cookie = Some(cookie);
        self
    }

    /// Converts the reply with `encode`.
    pub fn map<U: Send + 'static>(self, encode: fn(T) -> Result<U>) -> Result<Decision<U>> {
        let later = |future: Later<T>| -> Later<U> { Box::pin(async move { encode(future.await?) }) };
        let Self { batch, reply, action, cluster, session_id, cookie } = self;
        let reply = match reply {
            Reply::Ready(reply) => Reply::Ready(encode(reply)?),
            Reply::Pending(future) => Reply::Pending(later(future)),
            Reply::SideEffect(future) => Reply::SideEffect(later(future)),
        };
        Ok(Decision { batch, reply, action, cluster, session_id, cookie })
    }
}
