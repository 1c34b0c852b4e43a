//! What an identity provider tells of a person, beside the e-mail address.

use crate::{PrincipalId, Timestamp};
use serde::{Deserialize, Serialize};

/// The part of a person that an identity provider keeps up to date.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Profile {
    /// The name to log in with, unique in the organization; the e-mail address where absent.
    pub user_name: Option<String>,
    /// The provider's own name for the person.
    pub external_id: Option<String>,
    /// The name to show.
    pub display_name: Option<String>,
    /// Given name.
    pub given_name: Option<String>,
    /// Family name.
    pub family_name: Option<String>,
    /// All e-mail addresses, where the provider gave them.
    pub emails: Vec<Email>,
    /// Who is not active can do nothing.
    pub active: bool,
    /// Ids of the groups that the person is a member of, sorted. The truth about membership is here.
    pub groups: Vec<PrincipalId>,
    /// When the provider last changed something.
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

/// One of a person's e-mail addresses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Email {
    /// The address.
    pub value: String,
    /// `work`, `home`, …
    pub r#type: Option<String>,
    /// The address to show.
    pub display: Option<String>,
    /// Whether it is the one that the person is known by.
    pub primary: bool,
}
