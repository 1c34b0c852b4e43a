//! Tests of engines: one conformance suite for all drivers, and tests of the PostgreSQL driver with real
//! servers.
#![allow(clippy::unwrap_used)]

mod adoption;
mod conformance;
mod leftovers;
mod limits;
mod meter;
mod owners;
mod pool;
mod power;
mod sandbox;
mod secrets;
mod support;
