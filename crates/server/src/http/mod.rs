//! Everything about HTTP: the listener, the routes, and the paths that are not operations of the API.

pub mod connections;
pub mod console;
pub mod listener;
pub mod metrics;
pub mod response;
pub mod routes;
pub mod scim;
pub mod scrape;
pub mod tls;
pub mod trusted_proxies;
