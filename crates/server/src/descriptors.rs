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

/// The maximum numbers of SQL sessions and of SQL connections that have not authenticated, up to those asked for. A
/// session needs two descriptors.
pub fn sql_connections(sessions: usize, unauthenticated: usize) -> (usize, usize) {
    shares(limit().saturating_sub(api_connections() + RESERVED), sessions, unauthenticated)
}

fn shares(descriptors: usize, sessions: usize, unauthenticated: usize) -> (usize, usize) {
    let unauthenticated = unauthenticated.min(descriptors / 2).max(1);
    (sessions.min(descriptors.saturating_sub(unauthenticated) / 2).max(1), unauthenticated)
}

fn limit() -> usize {
    let current = getrlimit(Resource::Nofile).current;
    current.map_or(usize::MAX, |current| usize::try_from(current).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn sql_connections_fit_into_the_descriptors() {
        assert_eq!(shares(1_000_000, 10_000, 2000), (10_000, 2000));
        assert_eq!(shares(128, 10_000, 2000), (32, 64));
        assert_eq!(shares(0, 10_000, 2000), (1, 1));
        for descriptors in 4..10_000 {
            let (sessions, unauthenticated) = shares(descriptors, 10_000, 2000);
            assert!(2 * sessions + unauthenticated <= descriptors, "{descriptors}");
        }
    }
}
