//! What a handler returns to change something: the batch to commit, and how the reply is found.

use ootheca_model::{Cluster, ClusterId, Result};
use ootheca_store::Batch;
use std::{future::Future, pin::Pin};

/// A future that a handler leaves behind.
pub type Later<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// When the reply is known.
pub enum Reply<T> {
    /// Already.
    Ready(T),
    /// After the batch is written, by waiting for the reconciler.
    Pending(Later<T>),
    /// By an effect outside the store. The audit entry is written first, as interrupted, and
    /// completed when the effect has ended.
    SideEffect(Later<T>),
}

/// A decision: what to write, what to answer, how to name it in the audit log.
pub struct Decision<T> {
    /// The changes; the pipeline adds the audit entry and commits.
    pub batch: Batch,
    /// The answer.
    pub reply: Reply<T>,
    /// The audit action, where it is not the one of the operation's row.
    pub action: Option<&'static str>,
    /// The cluster that it is about, where the path does not name it.
    pub cluster: Option<(ClusterId, String)>,
}

impl<T: Send + 'static> Decision<T> {
    /// A change that is answered with `reply` once it is written.
    pub fn now(batch: Batch, reply: T) -> Self {
        Self::new(batch, Reply::Ready(reply))
    }

    /// A change with any kind of reply.
    pub fn new(batch: Batch, reply: Reply<T>) -> Self {
        Self { batch, reply, action: None, cluster: None }
    }

    /// Names the audit action.
    #[must_use]
    pub fn action(mut self, action: &'static str) -> Self {
        self.action = Some(action);
        self
    }

    /// Names the cluster.
    #[must_use]
    pub fn cluster(mut self, cluster: &Cluster) -> Self {
        self.cluster = Some((cluster.id, cluster.name.clone()));
        self
    }

    /// The same change with its reply passed through `encode`.
    pub fn map<U: Send + 'static>(self, encode: fn(T) -> Result<U>) -> Result<Decision<U>> {
        let later = |future: Later<T>| -> Later<U> { Box::pin(async move { encode(future.await?) }) };
        let reply = match self.reply {
            Reply::Ready(reply) => Reply::Ready(encode(reply)?),
            Reply::Pending(future) => Reply::Pending(later(future)),
            Reply::SideEffect(future) => Reply::SideEffect(later(future)),
        };
        Ok(Decision { batch: self.batch, reply, action: self.action, cluster: self.cluster })
    }
}
