//! The gateway's pure modules, built without the rest of it: a target is then built in seconds.
//!
//! To add a target: its function in the gateway's `fuzzing`, its modules here, its file in `targets`,
//! its row in `Cargo.toml`, and a seed in `corpus-seeds`.

#![allow(dead_code, unused_imports, reason = "the targets need only a part of each module")]

#[path = "../../crates/gateway/src"]
mod gateway {
    pub(crate) mod cut;
    pub mod fuzzing;
    pub(crate) mod guard;
    pub(crate) mod proxy_protocol;
    pub(crate) mod refusal;
    pub(crate) mod route;
    pub(crate) mod scram;
    pub(crate) mod startup;
    pub(crate) mod wire;
}

pub use gateway::fuzzing;
use gateway::{cut, guard, proxy_protocol, refusal, route, scram, startup, wire};

/// As in the gateway.
pub(crate) struct Notice {
    pub(crate) message: String,
    pub(crate) hint: String,
}
