//! The nodes of a cluster: how far its standbys are, and how a node becomes a standby.

pub use ootheca_model::node::{Received, WalPosition};

use std::{fmt, sync::Arc};

/// Is told the progress, from 0 to 1.
#[derive(Clone)]
pub struct Progress(pub Arc<dyn Fn(f32) + Send + Sync>);

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

/// How a node became a standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejoin {
    /// It streams from the primary.
    Streaming,
    /// Its server starts. A hint follows once it streams.
    Started,
    /// Its data has diverged too far, is incomplete, or lacks WAL that the primary no longer has.
    NeedsReseed,
}
