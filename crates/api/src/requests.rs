//! Converts the many spellings of a body to one. Pure: JSON in, JSON out.

use crate::{
    operations::{Op, operation},
    scim,
};
use ootheca_model::{Error, Result};
use serde_json::{Map, Value, map::Entry};
use std::borrow::Cow;

/// The rule that every body follows.
pub(crate) const OBJECT: &str = "must be a JSON object";

/// Parses a body as an object. No body and `null` are an empty object.
pub(crate) fn parse(bytes: &[u8]) -> Result<Map<String, Value>> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(bytes).map_err(|error| Error::invalid("body", error))? {
        Value::Object(members) => Ok(members),
        Value::Null => Ok(Map::new()),
        _ => Err(Error::invalid("body", OBJECT)),
    }
}

/// Converts a body to the shape of its type: names in snake case, and one place for each member.
pub(crate) fn normalize(op: Op, body: Map<String, Value>) -> Result<Value> {
    if scim::covers(operation(op).path) {
        return Ok(Value::Object(scim::normalize(body)));
    }
    let mut body = rename(body)?;
    match op {
        Op::CreateCluster => plan_into_spec(&mut body)?,
        Op::UpdateCluster => {
            unwrap_spec(&mut body)?;
            limits_into_serverless(&mut body)?;
            correct_upgrade_status(&mut body);
        }
        _ => {}
    }
    Ok(Value::Object(body))
}

/// Converts `lowerCamelCase` to `snake_case`. Dots are kept.
pub(crate) fn snake_case(name: &str) -> Cow<'_, str> {
    if !name.contains(|c: char| c.is_ascii_uppercase()) {
        return name.into();
    }
    let mut text = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text.into()
}

fn rename(members: Map<String, Value>) -> Result<Map<String, Value>> {
    let mut renamed = Map::new();
    for (name, value) in members {
        let name = snake_case(&name).into_owned();
        // The names of labels are chosen by the caller.
        let value = if name == "labels" { value } else { rename_within(value)? };
        put(&mut renamed, &name, value)?;
    }
    Ok(renamed)
}

fn rename_within(value: Value) -> Result<Value> {
    match value {
        Value::Object(members) => rename(members).map(Value::Object),
        Value::Array(items) => items.into_iter().map(rename_within).collect(),
        other => Ok(other),
    }
}

/// Adds a member. Refuses one that already has another value. `null` is the same as no value.
fn put(members: &mut Map<String, Value>, name: &str, value: Value) -> Result<()> {
    match members.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert(value);
        }
        Entry::Occupied(mut entry) if entry.get().is_null() => {
            entry.insert(value);
        }
        Entry::Occupied(entry) if value.is_null() || *entry.get() == value => {}
        Entry::Occupied(_) => return Err(Error::invalid(name, "has two different values")),
    }
    Ok(())
}

/// The object in a member, created if it is absent; `None` if the member is something else.
fn object<'a>(members: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    let member = members.entry(name).or_insert(Value::Null);
    if member.is_null() {
        *member = Value::Object(Map::new());
    }
    member.as_object_mut()
}

fn plan_into_spec(body: &mut Map<String, Value>) -> Result<()> {
    match body.remove("plan") {
        None | Some(Value::Null) => Ok(()),
        Some(plan) => object(body, "spec").map_or(Ok(()), |spec| put(spec, "plan", plan)),
    }
}

fn unwrap_spec(body: &mut Map<String, Value>) -> Result<()> {
    match body.remove("spec") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Object(spec)) => spec.into_iter().try_for_each(|(name, value)| put(body, &name, value)),
        Some(_) => Err(Error::invalid("spec", OBJECT)),
    }
}

fn limits_into_serverless(body: &mut Map<String, Value>) -> Result<()> {
    match body.remove("usage_limits") {
        None | Some(Value::Null) => Ok(()),
        Some(limits) => object(body, "serverless").map_or(Ok(()), |block| put(block, "usage_limits", limits)),
    }
}

/// The official page misspells one word; requests that copy it are accepted.
fn correct_upgrade_status(body: &mut Map<String, Value>) {
    if let Some(status) = body.get_mut("upgrade_status").filter(|status| *status == "UPGRADE_AVAIALBLE") {
        *status = "UPGRADE_AVAILABLE".into();
    }
}

#[cfg(test)]
mod tests;
