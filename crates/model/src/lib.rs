//! The types of Ootheca, and the decisions about them.
//!
//! This crate is pure: no input or output, no async, and no clock. Time and new IDs are arguments, so that tests
//! control them. Only [`throttle`] and [`attempts`] have state: a bounded number of recent failures, in memory.

pub mod allowlist;
pub mod attempts;
pub mod audit;
pub mod backup;
pub mod blackout;
pub mod catalog;
pub mod cluster;
pub mod disk;
pub mod error;
pub mod folder;
pub mod group;
pub mod hex;
pub mod identity;
pub mod ids;
pub mod instance;
pub mod issuer;
pub mod limit_status;
pub mod login;
pub mod maintenance;
pub mod meter;
pub mod names;
pub mod node;
pub mod period;
pub mod profile;
pub mod role;
pub mod sql_name;
pub mod throttle;
pub mod time;
pub mod units;
pub mod usage;

pub use allowlist::AllowlistEntry;
pub use cluster::{Cluster, ClusterState, Plan};
pub use error::{Error, ErrorKind, Result};
pub use folder::Folder;
pub use identity::{ApiKey, Granted, Invitation, Organization, Person, Principal, ServiceAccount, Session};
pub use ids::{ClusterId, FolderId, OrganizationId, PrincipalId};
pub use issuer::JwtIssuer;
pub use role::{Grant, Resource, Role};
pub use time::Timestamp;
