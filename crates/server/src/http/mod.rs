//! Everything about HTTP: the listener, the routes, and the paths that are not operations of the API.

pub mod console;
pub mod events;
pub mod listener;
pub mod metrics;
pub mod people;
pub mod response;
pub mod routes;
pub mod scim;
pub mod scrape;
pub mod test_clock;
pub mod timeseries;
