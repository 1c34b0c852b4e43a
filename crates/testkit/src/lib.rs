//! Runs the whole program in a temporary folder, and talks to it like its users: over HTTP, with `psql`, and
//! with signals.
//!
//! [`Ootheca`] is a running server. Dropping it fails the test if anything that it started is still running.
//! If a test fails, its folder is kept and its path is printed.

mod client;
mod folder;
mod gateway;
mod port;
pub mod postgres;
pub mod processes;
mod psql;
pub mod s3;
mod server;
mod server_builder;
mod shared_template;
mod wait;
pub mod wire;

pub use client::{Answer, Client, Lost, Record, Recorded, Request};
pub use folder::Folder;
pub use gateway::Gateway;
pub use psql::{Session, Spoken};
pub use rustix::process::Signal;
pub use server::{Ootheca, Predecessor};
pub use server_builder::{BACKUPS, Engine, ServerBuilder};
pub use wait::{eventually, eventually_within};

/// The API version that the official clients send.
pub const LATEST: &str = "2026-09-15";
