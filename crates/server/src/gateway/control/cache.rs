//! Responses of the server that a gateway process caches for the time when the server is not reachable.
//!
//! The size is limited: the least recently used clusters are removed first, except those with open sessions.

use crate::gateway::control::protocol::{Request, Response};
use ootheca_gateway::{Activity, Destination, Policy};
use ootheca_model::{ClusterId, login::Secret};
use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
};

/// The maximum number of clusters, twice the number of connections of a gateway.
const CLUSTERS: usize = 20_000;
/// The maximum number of users per cluster.
const USERS: usize = 1_000;

struct CachedCluster {
    routing_id: String,
    policy: Policy,
    iterations: Option<u32>,
    secrets: HashMap<String, Secret>,
    endpoint: Option<PathBuf>,
    /// When it was last used, as the number of the request.
    last_used: u64,
}

impl CachedCluster {
    /// Stores a secret. At the limit, it replaces one other, so that most users can still log in.
    fn insert_secret(&mut self, user: &str, secret: &Secret) {
        if self.secrets.len() >= USERS
            && !self.secrets.contains_key(user)
            && let Some(other) = self.secrets.keys().next().cloned()
        {
            self.secrets.remove(&other);
        }
        self.secrets.insert(user.to_owned(), secret.clone());
    }
}

/// Responses by their requests.
#[derive(Default)]
pub(super) struct DirectoryCache {
    clusters: HashMap<ClusterId, CachedCluster>,
    routes: HashMap<String, ClusterId>,
    live: HashSet<ClusterId>,
    requests: u64,
}

impl DirectoryCache {
    /// Stores a response, and removes the entries that it invalidates.
    pub(super) fn insert(&mut self, request: &Request, response: &Response) {
        match (request, response) {
            (Request::Resolve { routing_id }, Response::Destination(Some(to))) => self.route(routing_id, to),
            (Request::Resolve { routing_id }, Response::Destination(None)) => {
                if let Some(cluster) = self.routes.get(routing_id).copied() {
                    self.forget(cluster);
                }
            }
            (Request::Policy { cluster }, Response::Policy(None)) => self.forget(*cluster),
            (Request::Policy { cluster }, Response::Policy(Some(policy))) => {
                self.change(*cluster, |known| known.policy.clone_from(policy));
            }
            (Request::Secret { cluster, user }, Response::Secret(None)) => {
                self.change(*cluster, |known| drop(known.secrets.remove(user)));
            }
            (Request::Secret { cluster, user }, Response::Secret(Some(secret))) => {
                self.change(*cluster, |known| known.insert_secret(user, secret));
            }
            (Request::Endpoint { cluster }, Response::Endpoint(socket)) => {
                self.change(*cluster, |known| known.endpoint = Some(socket.clone()));
            }
            _ => {}
        }
    }

    /// The last response to a request.
    pub(super) fn get(&self, request: &Request) -> Option<Response> {
        let known = |cluster: &ClusterId| self.clusters.get(cluster);
        let response = match request {
            Request::Resolve { routing_id } => {
                let cluster = *self.routes.get(routing_id)?;
                let CachedCluster { policy, iterations, .. } = known(&cluster)?;
                let (policy, iterations) = (policy.clone(), *iterations);
                Response::Destination(Some(Destination { cluster, policy, iterations }))
            }
            Request::Policy { cluster } => Response::Policy(Some(known(cluster)?.policy.clone())),
            Request::Secret { cluster, user } => {
                Response::Secret(Some(known(cluster)?.secrets.get(user)?.clone()))
            }
            Request::Endpoint { cluster } => Response::Endpoint(known(cluster)?.endpoint.clone()?),
            Request::Invalidate { .. } | Request::Report { .. } | Request::Port { .. } => return None,
        };
        Some(response)
    }

    /// Removes the secrets of a cluster, which are outdated.
    pub(super) fn invalidate(&mut self, cluster: ClusterId) {
        self.change(cluster, |known| known.secrets.clear());
    }

    /// Records which clusters have sessions.
    pub(super) fn live(&mut self, activities: &[Activity]) {
        let live = activities.iter().filter(|activity| activity.sessions > 0);
        self.live = live.map(|activity| activity.cluster).collect();
    }

    /// Every cluster that is cached or has sessions.
    pub(super) fn clusters(&self) -> Vec<ClusterId> {
        let known: HashSet<ClusterId> = self.clusters.keys().chain(&self.live).copied().collect();
        known.into_iter().collect()
    }

    fn change(&mut self, cluster: ClusterId, change: impl FnOnce(&mut CachedCluster)) {
        if let Some(known) = self.clusters.get_mut(&cluster) {
            change(known);
        }
    }

    fn forget(&mut self, cluster: ClusterId) {
        if let Some(known) = self.clusters.remove(&cluster) {
            self.routes.remove(&known.routing_id);
        }
    }

    fn route(&mut self, routing_id: &str, to: &Destination) {
        self.requests += 1;
        let last_used = self.requests;
        match self.clusters.get_mut(&to.cluster) {
            Some(known) if known.routing_id == routing_id => {
                known.policy.clone_from(&to.policy);
                known.iterations = to.iterations;
                known.last_used = last_used;
            }
            _ => {
                self.forget(to.cluster);
                self.make_room();
                let cluster = CachedCluster {
                    routing_id: routing_id.to_owned(),
                    policy: to.policy.clone(),
                    iterations: to.iterations,
                    secrets: HashMap::new(),
                    endpoint: None,
                    last_used,
                };
                self.clusters.insert(to.cluster, cluster);
                // A routing ID can now refer to another cluster.
                if let Some(before) = self.routes.insert(routing_id.to_owned(), to.cluster)
                    && before != to.cluster
                {
                    self.clusters.remove(&before);
                }
            }
        }
    }

    /// Removes the oldest tenth if the cache is full.
    fn make_room(&mut self) {
        if self.clusters.len() < CLUSTERS {
            return;
        }
        let idle = self.clusters.iter().filter(|(id, _)| !self.live.contains(id));
        let mut idle: Vec<(u64, ClusterId)> = idle.map(|(id, known)| (known.last_used, *id)).collect();
        idle.sort_unstable();
        for (_, cluster) in idle.into_iter().take(CLUSTERS / 10) {
            self.forget(cluster);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ClusterId {
        ClusterId(uuid::Uuid::from_u128(number as u128))
    }

    fn resolve(number: usize) -> Request {
        Request::Resolve { routing_id: format!("cluster-{number}") }
    }

    fn insert(known: &mut DirectoryCache, number: usize) {
        let to = Destination { cluster: id(number), policy: Policy::default(), iterations: None };
        known.insert(&resolve(number), &Response::Destination(Some(to)));
    }

    #[test]
    fn responses_are_cached_until_invalidated() {
        let mut known = DirectoryCache::default();
        let secret = Request::Secret { cluster: id(1), user: "keeper".into() };
        let endpoint = Request::Endpoint { cluster: id(1) };
        let found = Response::Secret(Some(Secret::Scram("v".into())));
        known.insert(&secret, &found);
        assert_eq!(known.get(&secret), None, "of a cluster that was never resolved");
        insert(&mut known, 1);
        known.insert(&secret, &found);
        known.insert(&endpoint, &Response::Endpoint("/socket".into()));
        insert(&mut known, 1);
        assert_eq!(known.get(&secret), Some(found.clone()));
        assert_eq!(known.get(&endpoint), Some(Response::Endpoint("/socket".into())));
        known.invalidate(id(1));
        assert_eq!(known.get(&secret), None);
        assert!(known.get(&resolve(1)).is_some() && known.get(&resolve(2)).is_none());
        let policy = Policy { allow: vec!["10.0.0.0/8".parse().expect("a network")], ..Policy::default() };
        known.insert(&Request::Policy { cluster: id(1) }, &Response::Policy(Some(policy.clone())));
        let to = Destination { cluster: id(1), policy, iterations: None };
        assert_eq!(known.get(&resolve(1)), Some(Response::Destination(Some(to))));
        known.insert(&Request::Policy { cluster: id(1) }, &Response::Policy(None));
        assert!(known.get(&resolve(1)).is_none() && known.clusters().is_empty());
    }

    #[test]
    fn a_reused_name_resolves_to_the_new_cluster() {
        let mut known = DirectoryCache::default();
        insert(&mut known, 1);
        let to = Destination { cluster: id(2), policy: Policy::default(), iterations: None };
        known.insert(&resolve(1), &Response::Destination(Some(to.clone())));
        assert_eq!(known.get(&resolve(1)), Some(Response::Destination(Some(to))));
        assert_eq!(known.clusters(), [id(2)]);
        known.insert(&resolve(1), &Response::Destination(None));
        assert!(known.clusters().is_empty());
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_clusters_with_sessions() {
        let mut known = DirectoryCache::default();
        let activity = Activity { cluster: id(0), sessions: 1, sessions_seen: 1, sent: 0, received: 0 };
        known.live(&[activity]);
        for number in 0..CLUSTERS + 10 {
            insert(&mut known, number);
        }
        assert!(known.clusters.len() <= CLUSTERS && known.routes.len() == known.clusters.len());
        assert!(known.get(&resolve(0)).is_some() && known.get(&resolve(1)).is_none());
        assert!(known.get(&resolve(CLUSTERS + 9)).is_some());
    }

    #[test]
    fn a_new_user_replaces_one_other_at_the_limit() {
        let mut known = DirectoryCache::default();
        insert(&mut known, 1);
        let secret = |user: usize| Request::Secret { cluster: id(1), user: format!("user-{user}") };
        let found = Response::Secret(Some(Secret::Scram("v".into())));
        let count =
            |known: &DirectoryCache| (0..=USERS).filter(|user| known.get(&secret(*user)).is_some()).count();
        for user in 0..USERS {
            known.insert(&secret(user), &found);
        }
        let changed = Response::Secret(Some(Secret::Scram("w".into())));
        known.insert(&secret(7), &changed);
        assert_eq!(known.get(&secret(7)), Some(changed));
        assert_eq!(count(&known), USERS, "a known user replaces no other");
        known.insert(&secret(USERS), &found);
        assert_eq!(known.get(&secret(USERS)), Some(found));
        assert_eq!(count(&known), USERS);
    }
}
