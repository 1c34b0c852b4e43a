//! The attributes of a user that an identity provider manages, in addition to the email address.

use crate::{PrincipalId, Timestamp};
use serde::{Deserialize, Serialize};

/// The attributes of a user that an identity provider manages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Profile {
    /// The name to sign in with, unique in the organization; the email address if absent.
    pub user_name: Option<String>,
    /// The provider's ID of the user.
    pub external_id: Option<String>,
    pub display_name: Option<String>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    /// All email addresses, if the provider sent them.
    pub emails: Vec<Email>,
    /// Whether the user is active. An inactive user has no access.
    pub active: bool,
    /// The IDs of the user's groups, sorted. Membership is stored only here.
    pub groups: Vec<PrincipalId>,
    /// The time of the last change by the provider.
    pub updated_at: Option<Timestamp>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            user_name: None,
            external_id: None,
            display_name: None,
            given_name: None,
            family_name: None,
            emails: Vec::new(),
            active: true,
            groups: Vec::new(),
            updated_at: None,
        }
    }
}

/// An email address of a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Email {
    pub value: String,
    /// The type, for example `work` or `home`.
    pub r#type: Option<String>,
    /// The address to display.
    pub display: Option<String>,
    /// Whether it is the user's main address.
    pub primary: bool,
}
