//! The composition root: everything that a running server is made of, and how it starts and stops.
//!
//! `gate` is the one door of the API, `handlers` decide, `reconcile` acts. Only this crate knows all
//! the others.

pub mod admin;
pub mod app;
pub mod audit;
pub mod authenticate;
pub mod call;
pub mod catalog;
pub mod change;
pub mod clock;
pub mod console;
pub mod control;
pub mod data_dir;
pub mod directory;
pub mod dispatch;
pub mod events;
pub mod first_start;
pub mod front;
pub mod gate;
pub mod gateway_process;
pub mod groups;
pub mod handlers;
pub mod http;
pub mod idempotency;
pub mod jwt;
pub mod keys;
pub mod last_use;
pub mod local_link;
pub mod memory;
pub mod meter;
pub mod metrics;
pub mod mirror;
mod ownership;
pub mod people;
pub mod places;
pub mod power;
pub mod rate_limit;
pub mod reconcile;
pub mod redact;
pub mod render;
pub mod rows;
pub mod samples;
pub mod scim;
pub mod serve;
pub mod settings;
mod shell;
pub mod standing;
pub mod takeover;
pub mod traffic;

pub use gateway_process::GatewayProcess;
pub use serve::Server;
pub use settings::Settings;

/// The OpenAPI document for a server at the default address.
pub fn openapi() -> serde_json::Value {
    ootheca_api::openapi::document("http://127.0.0.1:8080")
}
