//! The language of SCIM (RFC 7643 and 7644): filters, paths, attribute names, its errors. Pure: JSON in,
//! JSON out; what a user or a group is, `wire` and the handlers know.

pub mod error;
pub mod filter;
mod lexer;
pub mod patch;
pub mod select;

use serde_json::{Map, Value};

/// The schema of a user.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The schema of a group.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The schema of a list.
pub const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// The schema of a patch.
pub const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// The schema of an error.
pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// Where SCIM begins.
pub const PREFIX: &str = "/api/scim/v2";

/// Its own content type.
pub const CONTENT_TYPE: &str = "application/scim+json";

/// Whether a path, or the template of one, belongs to SCIM.
pub fn covers(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Names of attributes and of members of messages, as they are written. Their case does not matter.
const NAMES: &[&str] = &[
    "$ref",
    "Operations",
    "active",
    "attributes",
    "count",
    "created",
    "display",
    "displayName",
    "emails",
    "excludedAttributes",
    "externalId",
    "familyName",
    "filter",
    "givenName",
    "groups",
    "id",
    "lastModified",
    "location",
    "members",
    "meta",
    "name",
    "op",
    "path",
    "primary",
    "ref",
    "resourceType",
    "schemas",
    "sortBy",
    "sortOrder",
    "startIndex",
    "type",
    "userName",
    "value",
    "version",
];

/// The usual spelling of a name; one that is not known stays as it is.
pub(crate) fn spelling(name: &str) -> &str {
    NAMES.iter().find(|known| known.eq_ignore_ascii_case(name)).copied().unwrap_or(name)
}

/// Whether anything here is called so, in its usual spelling.
pub(crate) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// A body with every known name in its usual spelling, at any depth. Of two spellings the last counts.
pub(crate) fn normalize(members: Map<String, Value>) -> Map<String, Value> {
    let renamed = members.into_iter().map(|(name, value)| (spelling(&name).to_owned(), normal(value)));
    renamed.collect()
}

fn normal(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(normalize(members)),
        Value::Array(items) => items.into_iter().map(normal).collect(),
        other => other,
    }
}

/// A name without the schema before it.
pub(crate) fn without_schema(name: &str) -> &str {
    for schema in [USER, GROUP] {
        let head = name.get(..schema.len()).filter(|head| head.eq_ignore_ascii_case(schema));
        if let Some(rest) = head.and_then(|_| name[schema.len()..].strip_prefix(':')) {
            return rest;
        }
    }
    name
}
