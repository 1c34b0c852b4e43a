//! The users of the organization, and the links that invite them.

use crate::wire::{BuiltInRole, DateTime};
use ootheca_model::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A user of the organization.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Person {
    /// ID of the user.
    pub id: String,
    /// Email address.
    pub email: String,
    /// Whether the user can sign in.
    pub active: bool,
    /// Whether the user has set a password.
    pub has_password: bool,
    /// Time of creation.
    #[schemars(with = "DateTime")]
    pub created_at: Timestamp,
    /// Roles that were granted to the user directly.
    pub roles: Vec<BuiltInRole>,
}

/// Response of `ListPeople`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListPeopleResponse {
    /// Users.
    pub people: Vec<Person>,
}

/// A link with which a user signs in for the first time, or sets a new password.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Invitation {
    /// ID of the invitation.
    pub id: String,
    /// Email address of the user.
    pub email: String,
    /// ID of the user.
    pub user_id: String,
    /// Roles that were granted to the user directly.
    pub roles: Vec<BuiltInRole>,
    /// Whether the link is for a new password.
    pub for_new_password: bool,
    /// Name of the principal that created the invitation.
    pub creator_name: String,
    /// Time of creation.
    #[schemars(with = "DateTime")]
    pub created_at: Timestamp,
    /// Time when the link expires.
    #[schemars(with = "DateTime")]
    pub expires_at: Timestamp,
    /// The token in the link. Only in the response of `CreateInvitation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_token: Option<String>,
    /// The link. Only in the response of `CreateInvitation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// Response of `ListInvitations`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListInvitationsResponse {
    /// Invitations that have not expired, ordered by time of creation.
    pub invitations: Vec<Invitation>,
}

/// Body of `CreateInvitation`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInvitationRequest {
    /// Email address of the user.
    #[schemars(required)]
    pub email: Option<String>,
    /// Names of roles on the organization. Other roles can be granted once the user exists.
    pub roles: Option<Vec<String>>,
}
