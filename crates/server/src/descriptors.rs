//! How the descriptors of the process are shared between the API, SQL sessions, and everything else.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for the store, files, control sessions, and inherited sockets.
const RESERVED: usize = 64;

/// Raises the limit of open files as far as allowed.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(cause) = setrlimit(Resource::Nofile, most) {
        tracing::warn!(%cause, "limit of open files not raised");
    }
}

/// The maximum number of connections to the API: a quarter of the descriptors.
pub fn api_connections() -> usize {
    (limit() / 4).max(1)
}

/// The maximum number of SQL connections, each of which needs two descriptors.
pub fn sql_connections() -> usize {
    (limit().saturating_sub(api_connections() + RESERVED) / 2).max(1)
}

fn limit() -> usize {
    let current = getrlimit(Resource::Nofile).current;
    current.map_or(usize::MAX, |current| usize::try_from(current).unwrap_or(usize::MAX))
}
