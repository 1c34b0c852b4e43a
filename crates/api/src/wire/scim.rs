//! SCIM: users, groups, lists of them. Every member but `schemas` and `id` may be left out of an answer,
//! since the caller chooses what it wants to see.

use crate::params::{Signed, query_params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

query_params! {
    /// Which users or groups, which part of the list, which of their attributes.
    ScimListQuery {
        /// What must hold of them, for example `userName eq "ada@example.com"`.
        filter: String = "filter",
        /// The attributes to show, separated by commas; all where absent.
        attributes: String = "attributes",
        /// Attributes not to show, separated by commas.
        excluded_attributes: String = "excludedAttributes",
        /// Most items in the answer, 20 where absent; 0, or less, asks how many there are.
        count: Signed = "count",
        /// Place of the first item, counted from 1; less than that is 1.
        start_index: Signed = "startIndex",
        /// The attribute that the list is ordered by.
        sort_by: String = "sortBy",
        /// `ascending` or `descending`.
        sort_order: String = "sortOrder",
    }
}

query_params! {
    /// Which attributes of one resource.
    ScimShowQuery {
        /// The attributes to show, separated by commas; all where absent.
        attributes: String = "attributes",
        /// Attributes not to show, separated by commas.
        excluded_attributes: String = "excludedAttributes",
    }
}

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScimUser {
    /// The schemas that it follows.
    pub schemas: Vec<String>,
    /// Id.
    pub id: String,
    /// The provider's own name for the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The name to log in with, unique in the organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// The name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The parts of the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<ScimName>,
    /// E-mail addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emails: Option<Vec<ScimEmail>>,
    /// Who is not active can do nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// The groups that the user is a member of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<ScimResource>>,
    /// What is known of the record itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<ScimMetadata>,
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScimGroup {
    /// The schemas that it follows.
    pub schemas: Vec<String>,
    /// Id; roles are granted to it as to a user.
    pub id: String,
    /// The provider's own name for the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Its members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<ScimResource>>,
    /// What is known of the record itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<ScimMetadata>,
}

/// The parts of a name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScimName {
    /// Given name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// Family name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
}

/// An e-mail address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScimEmail {
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// `work`, `home`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// The address to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// Whether it is the one that the user is known by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
}

/// A member of a group, or a group of a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScimResource {
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// `User` or, of a group, `direct`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// Where it is, as the reference names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#ref: Option<String>,
    /// Where it is, as the standard names it.
    #[serde(rename = "$ref", skip_serializing_if = "Option::is_none")]
    pub standard_ref: Option<String>,
}

/// What is known of a record itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScimMetadata {
    /// `User`, `Group`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Another one after every change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident of $item:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// The schema of lists.
            pub schemas: Vec<String>,
            /// How many there are in all.
            pub total_results: i32,
            /// How many are in this answer.
            pub items_per_page: i32,
            /// Place of the first one, counted from 1.
            pub start_index: i32,
            /// They themselves.
            #[serde(rename = "Resources")]
            pub resources: Vec<$item>,
        }
    )*};
}

lists! {
    /// Answer of the lists of users.
    GetUsersResponse of ScimUser;
    /// Answer of the lists of groups.
    GetGroupsResponse of ScimGroup;
    /// Answer of `GetResourceTypes`.
    GetResourceTypesResponse of super::ScimResourceType;
    /// Answer of `GetSchemas`.
    GetSchemasResponse of super::ScimSchema;
}

/// Answer of the operations that delete something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ScimDeleted {}
