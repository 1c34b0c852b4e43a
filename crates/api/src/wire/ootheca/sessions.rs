//! Signing in and out, and the sessions of a user.

use crate::wire::{BuiltInRole, DateTime};
use ootheca_model::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Body of `CreateSession`: `email` and `password`, `link_token`, or `jwt`.
#[derive(Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSessionRequest {
    /// Short name of the organization. It can be omitted if the server has only one.
    pub organization: Option<String>,
    /// Email address.
    pub email: Option<String>,
    /// Password; with `link_token`, the new password.
    pub password: Option<String>,
    /// Token of a sign-in link, which can be used once.
    pub link_token: Option<String>,
    /// Token of another issuer.
    pub jwt: Option<String>,
}

/// Body of `ChangePassword`.
#[derive(Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePasswordRequest {
    /// The current password. It can be omitted if the user has none.
    pub old_password: Option<String>,
    /// The new password.
    #[schemars(required)]
    pub new_password: Option<String>,
}

/// The session of the caller.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CurrentSession {
    /// The user who signed in.
    pub user: SessionUser,
    /// The organization of the user.
    pub organization: SessionOrganization,
    /// All roles of the user, including those of groups.
    pub roles: Vec<BuiltInRole>,
    /// The session.
    pub session: Session,
    /// The token that the header `X-CSRF-Token` of a change must contain.
    pub csrf_token: String,
    /// IP address of the caller, as the server sees it.
    pub address: String,
}

/// The user of a session.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SessionUser {
    /// ID of the user.
    pub id: String,
    /// Email address.
    pub email: String,
    /// Whether the user has set a password.
    pub has_password: bool,
}

/// The organization of a session.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SessionOrganization {
    /// ID of the organization.
    pub id: String,
    /// Full name.
    pub name: String,
    /// Short name.
    pub label: String,
}

/// A session of a user.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Session {
    /// ID of the session.
    pub id: String,
    /// When the user signed in.
    #[schemars(with = "DateTime")]
    pub created_at: Timestamp,
    /// When the session expires at the latest.
    #[schemars(with = "DateTime")]
    pub expires_at: Timestamp,
    /// Approximate time of the last use.
    #[schemars(with = "DateTime")]
    pub last_used_at: Timestamp,
    /// IP address that the user signed in from.
    pub ip_address: String,
    /// Browser that the user signed in with.
    pub user_agent: String,
    /// Whether it is the session of the caller.
    pub current: bool,
}

/// Response of `ListSessions`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListSessionsResponse {
    /// Sessions, newest first.
    pub sessions: Vec<Session>,
}

/// An empty response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Empty {}
