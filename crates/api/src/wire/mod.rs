//! The types of requests and responses: one file for each tag, with the names of the official description, and those
//! of the extensions in `ootheca`.
//!
//! In responses, an unset member is omitted, an unset text that the reference requires is `""`, and labels
//! are always an object. In requests, every member is optional; the handlers decide what is required. Unknown
//! members are ignored.

mod allowlist;
mod api_keys;
mod audit_actions;
mod audit_logs;
mod backups;
mod blackout_windows;
mod cluster_requests;
mod clusters;
mod databases;
mod folders;
mod jwt_issuers;
mod maintenance_windows;
mod ootheca;
mod organization;
mod pages;
mod roles;
mod scim;
mod scim_requests;
mod scim_service;
mod service_accounts;
mod sql_users;
mod values;
mod version_deferral;

pub use crate::params::{NoPath, NoQuery};
pub use allowlist::*;
pub use api_keys::*;
pub use audit_actions::*;
pub use audit_logs::*;
pub use backups::*;
pub use blackout_windows::*;
pub use cluster_requests::*;
pub use clusters::*;
pub use databases::*;
pub use folders::*;
pub use jwt_issuers::*;
pub use maintenance_windows::*;
pub use ootheca::*;
pub use organization::*;
pub use pages::*;
pub use roles::*;
pub use scim::*;
pub use scim_requests::*;
pub use scim_service::*;
pub use service_accounts::*;
pub use sql_users::*;
pub use values::{Int64, NoBody};
pub use version_deferral::*;

pub(crate) use values::DateTime;
