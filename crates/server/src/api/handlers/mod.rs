//! The handlers of the operations, one file for each tag. Handlers return decisions and have no side effects.

pub mod allowlist;
pub mod api_keys;
pub mod audit_log;
pub mod cluster_contents;
pub mod clusters;
pub mod databases;
pub mod folders;
pub mod jwt_issuers;
pub mod organization;
pub mod paging;
pub mod roles;
pub mod scim;
pub mod service_accounts;
pub mod sql_users;

pub use allowlist::*;
pub use api_keys::*;
pub use audit_log::*;
pub use clusters::*;
pub use databases::*;
pub use folders::*;
pub use jwt_issuers::*;
pub use organization::*;
pub use roles::*;
pub use scim::{groups::*, service::*, users::*};
pub use service_accounts::*;
pub use sql_users::*;
