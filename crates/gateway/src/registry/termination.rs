//! Why sessions are ended from this side.

/// Why a session is ended from this side; later ones are stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Cut {
    /// The gateway goes down: end between two transactions.
    Drain = 1,
    /// The gateway goes down: end now.
    Shutdown,
    /// The cluster is over its storage: one may come again.
    Throttled,
    /// The peer is no longer on the allowlist.
    Policy,
    /// The cluster is over its request units.
    Disabled,
    /// The cluster is gone.
    Deleted,
}
