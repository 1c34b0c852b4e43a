//! Boots the whole program in a temporary folder and talks to it as its users do: over HTTP, with
//! `psql`, with signals.
//!
//! [`Ootheca`] is one running server. Dropping it fails the test if anything that it started is still
//! there. When a test fails, its folder is kept and named.

mod client;
mod folder;
mod gateway;
pub mod postgres;
pub mod processes;
mod psql;
mod server;
mod wait;
pub mod wire;

pub use client::{Answer, Client, Lost, Record, Recorded, Request};
pub use folder::Folder;
pub use gateway::Gateway;
pub use psql::{Session, Spoken};
pub use rustix::process::Signal;
pub use server::{Engine, Launch, Ootheca, Predecessor};
pub use wait::{eventually, eventually_within};

/// The version that the official clients send.
pub const LATEST: &str = "2026-09-15";
