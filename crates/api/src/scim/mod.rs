//! The language of SCIM (RFC 7643 and 7644): filters, paths, attribute names, and errors. Pure: JSON in, JSON
//! out. The attributes of users and groups are defined in `wire` and in the handlers.

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

/// The prefix of SCIM paths.
pub const PREFIX: &str = "/api/scim/v2";

/// The content type of SCIM.
pub const CONTENT_TYPE: &str = "application/scim+json";

/// Whether a path, or a path template, belongs to SCIM.
pub fn covers(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Canonical names of attributes and of members of messages. They are compared without regard to case.
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

/// The canonical spelling of a name. Unknown names are returned unchanged.
pub(crate) fn spelling(name: &str) -> &str {
    NAMES.iter().find(|known| known.eq_ignore_ascii_case(name)).copied().unwrap_or(name)
}

/// Whether a name is known in exactly this spelling.
pub(crate) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// A body with every known name in its canonical spelling, at any depth. If two spellings occur, the last one
/// applies.
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

/// A name without its schema prefix.
pub(crate) fn without_schema(name: &str) -> &str {
    for schema in [USER, GROUP] {
        let head = name.get(..schema.len()).filter(|head| head.eq_ignore_ascii_case(schema));
        if let Some(rest) = head.and_then(|_| name[schema.len()..].strip_prefix(':')) {
            return rest;
        }
    }
    name
}
