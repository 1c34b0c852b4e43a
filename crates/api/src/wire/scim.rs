//! SCIM: users, groups, and lists of them. A response can omit every member except `schemas` and `id`,
//! because the caller selects attributes.

use crate::params::{Signed, query_params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

query_params! {
    /// The requested part of a list of users or groups, and its attributes.
    ScimListQuery {
        /// Only resources that match this filter, for example `userName eq "ada@example.com"`.
        filter: String = "filter",
        /// The attributes to return, separated by commas; all if absent.
        attributes: String = "attributes",
        /// The attributes to omit, separated by commas.
        excluded_attributes: String = "excludedAttributes",
        /// Maximum number of items in the response, 20 by default. 0 or less returns only the total.
        count: Signed = "count",
        /// Position of the first item, starting at 1. Lower values are the same as 1.
        start_index: Signed = "startIndex",
        /// The attribute that the list is ordered by.
        sort_by: String = "sortBy",
        /// `ascending` or `descending`.
        sort_order: String = "sortOrder",
    }
}

query_params! {
    /// The requested attributes of a resource.
    ScimShowQuery {
        /// The attributes to return, separated by commas; all if absent.
        attributes: String = "attributes",
        /// The attributes to omit, separated by commas.
        excluded_attributes: String = "excludedAttributes",
    }
}

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScimUser {
    /// The schemas of the resource.
    pub schemas: Vec<String>,
    /// ID of the user.
    pub id: String,
    /// ID of the user at the identity provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The name for signing in, unique in the organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The parts of the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<ScimName>,
    /// Email addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emails: Option<Vec<ScimEmail>>,
    /// Whether the user is active. An inactive user cannot sign in or call the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// The groups that the user is a member of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<ScimResource>>,
    /// Metadata of the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<ScimMetadata>,
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScimGroup {
    /// The schemas of the resource.
    pub schemas: Vec<String>,
    /// ID of the group. Roles can be granted to it in the same way as to a user.
    pub id: String,
    /// ID of the group at the identity provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Members of the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<ScimResource>>,
    /// Metadata of the resource.
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

/// An email address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScimEmail {
    /// The email address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The type, for example `work` or `home`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// The address in display format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// Whether this is the primary address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
}

/// A member of a group, or a group of a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScimResource {
    /// ID of the user or group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// `User` for a member; `direct` for a group of a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// URL, under the name in the official reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#ref: Option<String>,
    /// URL, under the name in RFC 7643.
    #[serde(rename = "$ref", skip_serializing_if = "Option::is_none")]
    pub standard_ref: Option<String>,
}

/// Metadata of a resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScimMetadata {
    /// The type of the resource, for example `User` or `Group`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// URL of the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Version of the resource, which changes with every update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident of $item:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// The schema of list responses.
            pub schemas: Vec<String>,
            /// Total number of items.
            pub total_results: i32,
            /// Number of items in this response.
            pub items_per_page: i32,
            /// Position of the first item, starting at 1.
            pub start_index: i32,
            /// The items.
            #[serde(rename = "Resources")]
            pub resources: Vec<$item>,
        }
    )*};
}

lists! {
    /// Response of the lists of users.
    GetUsersResponse of ScimUser;
    /// Response of the lists of groups.
    GetGroupsResponse of ScimGroup;
    /// Response of `GetResourceTypes`.
    GetResourceTypesResponse of super::ScimResourceType;
    /// Response of `GetSchemas`.
    GetSchemasResponse of super::ScimSchema;
}

/// Response of the operations that delete a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ScimDeleted {}
