//! SCIM: requests.

use super::{ScimEmail, ScimName, ScimResource};
use crate::params::Signed;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::borrow::Cow;

macro_rules! users {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// Must contain the schema of users.
            pub schemas: Option<Vec<String>>,
            /// ID of the user at the identity provider.
            pub external_id: Option<String>,
            /// The name for signing in, unique in the organization; an email address if absent.
            pub user_name: Option<String>,
            /// Display name.
            pub display_name: Option<String>,
            /// The parts of the name.
            pub name: Option<ScimName>,
            /// Email addresses. The primary address, or the first one, identifies the user.
            pub emails: Option<Vec<ScimEmail>>,
            /// Whether the user is active. An inactive user cannot sign in or call the API.
            #[serde(default, deserialize_with = "truth")]
            pub active: Option<bool>,
        }
    )*};
}

users! {
    /// Body of `CreateUser`.
    CreateUserRequest;
    /// Body of `UpdateUser`.
    UpdateUserBody;
}

impl From<UpdateUserBody> for CreateUserRequest {
    fn from(body: UpdateUserBody) -> Self {
        let UpdateUserBody { schemas, external_id, user_name, display_name, name, emails, active } = body;
        Self { schemas, external_id, user_name, display_name, name, emails, active }
    }
}

macro_rules! groups {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// Must contain the schema of groups.
            pub schemas: Option<Vec<String>>,
            /// ID of the group at the identity provider.
            pub external_id: Option<String>,
            /// Display name.
            pub display_name: Option<String>,
            /// Members of the group, by ID.
            pub members: Option<Vec<ScimResource>>,
        }
    )*};
}

groups! {
    /// Body of `CreateGroup`.
    CreateGroupRequest;
    /// Body of `UpdateGroup`.
    UpdateGroupBody;
}

impl From<UpdateGroupBody> for CreateGroupRequest {
    fn from(body: UpdateGroupBody) -> Self {
        let UpdateGroupBody { schemas, external_id, display_name, members } = body;
        Self { schemas, external_id, display_name, members }
    }
}

macro_rules! patches {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
        pub struct $name {
            /// Must contain the schema of patches.
            pub schemas: Option<Vec<String>>,
            /// The operations, applied in order. If one of them fails, none is applied.
            #[serde(rename = "Operations")]
            pub operations: Option<Vec<ScimOperations>>,
        }
    )*};
}

patches! {
    /// Body of `PatchUser`.
    PatchUserBody;
    /// Body of `PatchGroup`.
    PatchGroupBody;
}

/// One operation of a patch.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct ScimOperations {
    /// `add`, `replace` or `remove`.
    pub op: Option<String>,
    /// Target of the operation: `userName`, `name.familyName`, or `emails[type eq "work"].value`; the whole
    /// resource if absent.
    pub path: Option<String>,
    /// The value of the operation.
    #[serde(default)]
    pub value: Value,
}

macro_rules! searches {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// Only resources that match this filter.
            pub filter: Option<String>,
            /// The attributes to return.
            pub attributes: Option<AttributeNames>,
            /// The attributes to omit.
            pub excluded_attributes: Option<AttributeNames>,
            /// Maximum number of items in the response, 20 by default; 0 returns only the total.
            pub count: Option<i32>,
            /// Position of the first item, starting at 1.
            pub start_index: Option<i32>,
            /// The attribute that the list is ordered by.
            pub sort_by: Option<String>,
            /// `ascending` or `descending`.
            pub sort_order: Option<String>,
        }

        impl From<$name> for super::ScimListQuery {
            fn from(body: $name) -> Self {
                Self {
                    filter: body.filter,
                    attributes: body.attributes.map(|names| names.0),
                    excluded_attributes: body.excluded_attributes.map(|names| names.0),
                    count: body.count.map(Signed),
                    start_index: body.start_index.map(Signed),
                    sort_by: body.sort_by,
                    sort_order: body.sort_order,
                }
            }
        }
    )*};
}

searches! {
    /// Body of the searches of users.
    GetUsersRequest;
    /// Body of the searches of groups.
    GetGroupsRequest;
}

macro_rules! shows {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// The attributes to return.
            pub attributes: Option<AttributeNames>,
            /// The attributes to omit.
            pub excluded_attributes: Option<AttributeNames>,
        }

        impl From<$name> for super::ScimShowQuery {
            fn from(body: $name) -> Self {
                Self {
                    attributes: body.attributes.map(|names| names.0),
                    excluded_attributes: body.excluded_attributes.map(|names| names.0),
                }
            }
        }
    )*};
}

shows! {
    /// Body of `SearchUser`.
    SearchUserBody;
    /// Body of `GetUser2`.
    GetUser2Body;
    /// Body of `SearchGroup`.
    SearchGroupBody;
    /// Body of `GetGroup2`.
    GetGroup2Body;
}

/// Names of attributes: a comma-separated text, or a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributeNames(pub String);

impl<'de> Deserialize<'de> for AttributeNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a text with names of attributes between commas, or a list of them")]
        enum Either {
            Text(String),
            List(Vec<String>),
        }
        Ok(Self(match Either::deserialize(deserializer)? {
            Either::Text(text) => text,
            Either::List(names) => names.join(","),
        }))
    }
}

impl JsonSchema for AttributeNames {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AttributeNames".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"], "items": { "type": "string" } })
    }
}

/// Decodes `true` and `false`, also as texts, which some providers send.
fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::Bool(value) => Ok(Some(value)),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        _ => Err(serde::de::Error::custom("must be true or false")),
    }
}
