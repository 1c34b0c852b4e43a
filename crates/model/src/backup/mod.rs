//! Backups and restores: the configuration, what is stored, and the rules.
//!
//! A *base* is a copy of the data directory of a cluster. A *recovery point* is a base and the WAL up to a position, so
//! that the cluster can be restored exactly as it was at that moment. The API lists a backup for every due time, also
//! while the data does not change: one recovery point then stands for several backups.

mod base;
mod clone;
mod configuration;
mod recovery_point;
mod restore;

pub use base::Base;
pub use clone::*;
pub use configuration::*;
pub use recovery_point::*;
pub use restore::*;
