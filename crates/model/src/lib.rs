//! The nouns of Ootheca, and the decisions about them.
//!
//! Pure: no input or output, no async, no clock, no randomness. Time and fresh ids come in as
//! arguments, so that a test can own them. Everything else in the workspace depends on this crate.

pub mod allowlist;
pub mod audit;
pub mod catalogue;
pub mod cluster;
pub mod effect;
pub mod error;
pub mod folder;
pub mod group;
pub mod identity;
pub mod ids;
pub mod instance;
pub mod issuer;
pub mod login;
pub mod meter;
pub mod names;
pub mod period;
pub mod profile;
pub mod role;
pub mod sql_name;
pub mod standing;
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
