//! Tests of engines: one conformance suite for all drivers, and tests of the PostgreSQL driver with real
//! servers.
#![allow(clippy::unwrap_used)]

mod adoption;
mod archive;
mod backups;
mod clones;
mod conformance;
mod control_secrets;
mod epochs;
mod epochs_crash;
mod fixture;
mod leftovers;
mod limits;
mod masking;
mod meter;
mod nodes;
mod objects;
mod owners;
mod point_in_time;
mod pool;
mod power;
mod sandbox;
mod secrets;
mod support;
mod wal;
