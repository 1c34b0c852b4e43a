//! All parts of a running server, one directory for each subject.
//!
//! A directory imports only directories below it. From the top: [`server`] and [`gateway_process`] start and
//! stop, [`app`] composes, then [`http`], [`api`], [`gateway`], [`lifecycle`], [`metering`], [`identity`],
//! and finally [`context`] and the other general files. `tests/layers.rs` checks this order.

pub mod api;
pub mod app;
pub mod cache;
pub mod clock;
pub mod context;
pub mod data_dir;
pub mod descriptors;
pub mod disk;
pub mod documents;
pub mod event_retention;
pub mod gateway;
pub mod gateway_process;
pub mod http;
pub mod identity;
pub mod ids;
pub mod informer;
pub mod lifecycle;
pub mod logging;
pub mod metering;
mod ownership;
mod private_files;
pub mod recovery;
pub mod server;
pub mod settings;

pub use gateway_process::GatewayProcess;
pub use server::Server;
pub use settings::Settings;

/// The OpenAPI document for a server at the default address.
pub fn openapi() -> serde_json::Value {
    ootheca_api::openapi::document("http://127.0.0.1:8080")
}
