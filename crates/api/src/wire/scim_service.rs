//! SCIM: the description of the service.

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
        /// URN of the schema.
        schema_id: String = "schemaId",
    }
}

/// A type of resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ScimResourceType {
    /// The schema of resource types.
    pub schemas: Vec<String>,
    /// ID of the resource type.
    pub id: String,
    /// Name of the resource type.
    pub name: String,
    /// Description of the resource type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Path of its resources, relative to the base URL.
    pub endpoint: String,
    /// The schema of its resources.
    pub schema: String,
    /// Metadata of the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<ScimMetadata>,
}

/// A schema.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ScimSchema {
    /// The schema of schemas.
    pub schemas: Vec<String>,
    /// URN of the schema.
    pub id: String,
    /// Name of the schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Description of the schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Attributes of the schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Vec<ScimSchemaAttribute>>,
    /// Metadata of the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<ScimMetadata>,
}

/// An attribute of a schema.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ScimSchemaAttribute {
    /// Name of the attribute.
    pub name: String,
    /// Data type, for example `string`, `boolean`, or `complex`.
    pub r#type: String,
    /// Whether it is a list.
    pub multi_valued: bool,
    /// Description of the attribute.
    pub description: String,
    /// Whether the attribute is required.
    pub required: bool,
    /// Canonical values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub canonical_values: Vec<String>,
    /// Whether values are case-sensitive.
    pub case_exact: bool,
    /// `readWrite`, `readOnly`, or `immutable`.
    pub mutability: String,
    /// `always` or `default`.
    pub returned: String,
    /// `none` or `server`.
    pub uniqueness: String,
    /// The types of resources that a reference can refer to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reference_types: Vec<String>,
    /// Sub-attributes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sub_attributes: Vec<ScimSchemaAttribute>,
}

/// The capabilities of the service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetServiceProviderConfigResponse {
    /// The schema of this response.
    pub schemas: Vec<String>,
    /// Support for PATCH.
    pub patch: ScimPatchSupport,
    /// Support for bulk operations.
    pub bulk: ScimBulkSupport,
    /// Support for filters.
    pub filter: ScimFilterSupport,
    /// Support for changing passwords.
    pub change_password: ScimChangePasswordSupport,
    /// Support for sorting.
    pub sort: ScimSortSupport,
    /// Support for versions of resources.
    pub etag: ScimEtagSupport,
    /// Supported authentication schemes.
    pub authentication_schemes: Vec<ScimAuthenticationScheme>,
    /// Metadata of the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<ScimMetadata>,
}

macro_rules! supports {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// Whether the service supports it.
            pub supported: bool,
            $($(#[$field_doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
        }
    )*};
}

supports! {
    /// Support for PATCH.
    ScimPatchSupport {}
    /// Support for bulk operations.
    ScimBulkSupport {
        /// Maximum number of operations.
        max_operations: i32,
        /// Maximum size of a request in bytes.
        max_payload_size: i32,
    }
    /// Support for filters.
    ScimFilterSupport {
        /// Maximum number of items in a response.
        max_results: i32,
    }
    /// Support for changing passwords.
    ScimChangePasswordSupport {}
    /// Support for sorting.
    ScimSortSupport {}
    /// Support for versions of resources.
    ScimEtagSupport {
        /// Not limited here.
        max_results: i32,
    }
}

/// An authentication scheme.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScimAuthenticationScheme {
    /// The type, `oauthbearertoken`.
    pub r#type: String,
    /// Name of the scheme.
    pub name: String,
    /// Description of the scheme.
    pub description: String,
    /// URL of its specification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec_uri: Option<String>,
    /// URL of its documentation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documentation_uri: Option<String>,
    /// Whether this is the preferred scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
}
