//! SCIM: what the service says of itself.

use super::ScimMetadata;
use crate::params::path_params;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

path_params! {
    /// A resource type.
    ResourceTypePath {
        /// `User` or `Group`.
        resource_id: String = "resourceId",
    }
}

path_params! {
    /// A schema.
    SchemaPath {
        /// Its URN.
        schema_id: String = "schemaId",
    }
}

/// A kind of resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ScimResourceType {
    /// The schema of resource types.
    pub schemas: Vec<String>,
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where its resources are, below the base.
    pub endpoint: String,
    /// The schema of its resources.
    pub schema: String,
    /// What is known of the record itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<ScimMetadata>,
}

/// A schema.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ScimSchema {
    /// The schema of schemas.
    pub schemas: Vec<String>,
    /// Its URN.
    pub id: String,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Vec<ScimSchemaAttribute>>,
    /// What is known of the record itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<ScimMetadata>,
}

/// An attribute of a schema.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ScimSchemaAttribute {
    /// Name.
    pub name: String,
    /// `string`, `boolean`, `complex`, …
    pub r#type: String,
    /// Whether it is a list.
    pub multi_valued: bool,
    /// What it is.
    pub description: String,
    /// Whether it must be given.
    pub required: bool,
    /// Usual values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub canonical_values: Vec<String>,
    /// Whether the case of a text matters.
    pub case_exact: bool,
    /// `readWrite`, `readOnly` or `immutable`.
    pub mutability: String,
    /// `always` or `default`.
    pub returned: String,
    /// `none` or `server`.
    pub uniqueness: String,
    /// What a reference may lead to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reference_types: Vec<String>,
    /// What is within it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sub_attributes: Vec<ScimSchemaAttribute>,
}

/// What the service can do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetServiceProviderConfigResponse {
    /// The schema of this answer.
    pub schemas: Vec<String>,
    /// Patches.
    pub patch: ScimPatchSupport,
    /// Many operations in one request.
    pub bulk: ScimBulkSupport,
    /// Filters.
    pub filter: ScimFilterSupport,
    /// Changes of passwords.
    pub change_password: ScimChangePasswordSupport,
    /// Ordered lists.
    pub sort: ScimSortSupport,
    /// Versions of resources.
    pub etag: ScimEtagSupport,
    /// How callers show who they are.
    pub authentication_schemes: Vec<ScimAuthenticationScheme>,
    /// What is known of the record itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<ScimMetadata>,
}

macro_rules! supports {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// Whether the service does it.
            pub supported: bool,
            $($(#[$field_doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
        }
    )*};
}

supports! {
    /// Patches.
    ScimPatchSupport {}
    /// Many operations in one request.
    ScimBulkSupport {
        /// Most of them.
        max_operations: i32,
        /// Largest request in bytes.
        max_payload_size: i32,
    }
    /// Filters.
    ScimFilterSupport {
        /// Most items in an answer.
        max_results: i32,
    }
    /// Changes of passwords.
    ScimChangePasswordSupport {}
    /// Ordered lists.
    ScimSortSupport {}
    /// Versions of resources.
    ScimEtagSupport {
        /// Not limited here.
        max_results: i32,
    }
}

/// A way to show who one is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScimAuthenticationScheme {
    /// `oauthbearertoken`.
    pub r#type: String,
    /// Name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// The standard that it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec_uri: Option<String>,
    /// Where to read more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documentation_uri: Option<String>,
    /// Whether it is the usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
}
