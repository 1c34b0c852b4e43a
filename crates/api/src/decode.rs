//! Decodes the path, query, and body of a request into the types of its handler.

use crate::{
    operations::{Op, operation},
    params::{Pairs, PathParams, QueryParams},
    requests,
    router::Params,
    versions::{self, Version},
};
use ootheca_model::{Error, Result};
use serde::de::{DeserializeOwned, IgnoredAny};
use std::borrow::Cow;

/// Reads the path parameters.
pub fn path<T: PathParams>(params: &Params) -> Result<T> {
    T::read(params)
}

/// Reads the raw query. Names can be in camel case or in the older dialect. Unknown parameters are ignored.
pub fn query<T: QueryParams>(raw: &str) -> Result<T> {
    T::read(&pairs(raw)?)
}

/// Reads the body as JSON, whatever its content type is. No body is an empty object. `version` is the version
/// of the API that the caller uses.
pub fn body<T: DeserializeOwned>(version: Version, op: Op, bytes: &[u8]) -> Result<T> {
    let value = match operation(op).has_body {
        true => {
            let mut value = requests::normalize(op, requests::parse(bytes)?)?;
            version.upgrade(op, &mut value)?;
            value
        }
        false => serde_json::Value::Object(serde_json::Map::new()),
    };
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        match path.as_str() {
            "." => Error::invalid("body", error.inner()),
            // The text of the error would contain the value.
            secret if ["password", "token", "jwt"].iter().any(|end| secret.ends_with(end)) => {
                Error::invalid(secret, "must be a string")
            }
            field => Error::invalid(field, error.inner()),
        }
    })
}

/// Checks that a body is empty or a JSON object, without decoding its members.
pub fn check_syntax(bytes: &[u8]) -> Result<()> {
    let bytes = bytes.trim_ascii();
    if bytes.is_empty() || bytes == b"null" {
        return Ok(());
    }
    serde_json::from_slice::<IgnoredAny>(bytes).map_err(|error| Error::invalid("body", error))?;
    if bytes[0] == b'{' { Ok(()) } else { Err(Error::invalid("body", requests::OBJECT)) }
}

pub(crate) fn pairs(raw: &str) -> Result<Pairs> {
    let mut pairs = Vec::new();
    for (name, text) in form_urlencoded::parse(raw.as_bytes()) {
        let name = requests::snake_case(&name);
        let name = versions::parameter_name(&name).map_or(name, Cow::Borrowed).into_owned();
        let text = versions::parameter(&name, &text).to_owned();
        pairs.push((name, text));
    }
    let pairs = Pairs(pairs);
    // Page tokens contain their direction, so the older parameter only has to be well-formed.
    match pairs.get("pagination.direction") {
        None | Some("" | "PAGE_DIRECTION_NEXT" | "PAGE_DIRECTION_LAST") => Ok(pairs),
        Some(_) => {
            let rule = "must be one of PAGE_DIRECTION_NEXT, PAGE_DIRECTION_LAST";
            Err(Error::invalid("pagination.direction", rule))
        }
    }
}

#[cfg(test)]
mod tests;
