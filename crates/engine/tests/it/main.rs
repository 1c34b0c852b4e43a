//! Engines at their boundary: one conformance suite for all drivers, and what is special to
//! PostgreSQL, with real servers.
#![allow(clippy::unwrap_used)]

mod adoption;
mod conformance;
mod limits;
mod meter;
mod pool;
mod power;
mod sandbox;
mod support;
