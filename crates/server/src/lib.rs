//! Everything that a running server is made of, one folder a subject.
//!
//! A folder imports only folders below it. From the top: [`server`] and [`gateway_process`] start and stop,
//! [`app`] composes, [`http`], [`api`], [`gateway`], [`lifecycle`], [`metering`], [`identity`], then
//! [`context`] and the other files that know no subject. `tests/layers.rs` holds this order.

pub mod api;
pub mod app;
pub mod cache;
pub mod clock;
pub mod context;
pub mod data_dir;
pub mod documents;
pub mod event_retention;
pub mod gateway;
pub mod gateway_process;
pub mod http;
pub mod identity;
pub mod ids;
pub mod informer;
pub mod lifecycle;
pub mod metering;
mod ownership;
pub mod server;
pub mod settings;

pub use gateway_process::GatewayProcess;
pub use server::Server;
pub use settings::Settings;

/// The OpenAPI document for a server at the default address.
pub fn openapi() -> serde_json::Value {
    ootheca_api::openapi::document("http://127.0.0.1:8080")
}
