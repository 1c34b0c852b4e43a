//! Engines at their boundary: one conformance suite for all drivers, and what is special to
//! PostgreSQL, with real servers.
#![allow(clippy::unwrap_used)]

mod adoption;
mod conformance;
mod limits;
mod pool;
mod sandbox;
mod support;
