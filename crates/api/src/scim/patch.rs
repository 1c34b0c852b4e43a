//! The operations of PATCH on a resource in JSON. If one of them fails, the caller discards the resource.

use super::{
    filter::{self, Attribute, Comparison, Filter},
    lexer::Lexer,
};
use ootheca_model::{Error, Result};
use serde_json::{Map, Value};

/// The start of the message if the path has no target.
pub(crate) const NO_TARGET: &str = "nothing is there";
/// The start of the message if the target is read-only.
pub(crate) const READ_ONLY: &str = "cannot be changed";

/// Attributes that only the server sets.
const SET_BY_SERVER: [&str; 4] = ["schemas", "id", "meta", "groups"];
/// Attributes that are lists.
const LISTS: [&str; 2] = ["emails", "members"];

/// The kind of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Adds to a list, merges into an object, or sets anything else.
    Add,
    /// Replaces the value.
    Replace,
    /// Removes the value.
    Remove,
}

impl Verb {
    /// Parses a verb in any case.
    pub fn parse(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "add" => Ok(Self::Add),
            "replace" => Ok(Self::Replace),
            "remove" => Ok(Self::Remove),
            _ => Err(Error::invalid("op", format!("must be add, replace or remove, not {text:?}"))),
        }
    }
}

/// The target of an operation: `name.familyName`, `emails[type eq "work"].value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    attribute: Attribute,
    filter: Option<Filter>,
}

impl Path {
    /// Parses a path.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lexer = Lexer::new("path", text);
        let mut attribute = Attribute::read(lexer.name()?);
        let mut filter = None;
        if lexer.sign('[') {
            if attribute.sub.is_some() {
                return Err(lexer.wrong("an attribute of the resource before \"[\""));
            }
            filter = Some(filter::bracketed(&mut lexer, ']', 0)?);
            if lexer.sign('.') {
                attribute.sub = Some(super::spelling(lexer.name()?).to_owned());
            }
        }
        if lexer.ended() { Ok(Self { attribute, filter }) } else { Err(lexer.wrong("the end of the path")) }
    }

    /// Parses the name of a member of a value: as a path if it has a filter, otherwise as a plain name.
    fn named(text: &str) -> Result<Self> {
        if text.contains('[') {
            return Self::parse(text);
        }
        Ok(Self { attribute: Attribute::read(text), filter: None })
    }
}

/// Applies one operation.
pub fn apply(resource: &mut Map<String, Value>, verb: Verb, path: Option<&str>, value: Value) -> Result<()> {
    let path = path.map(str::trim).filter(|path| !path.is_empty());
    if verb != Verb::Remove && value.is_null() && path.is_none() {
        return Err(Error::invalid("value", "is required"));
    }
    match path {
        Some(text) => {
            let path = Path::parse(text)?;
            if SET_BY_SERVER.contains(&path.attribute.name.as_str()) {
                return Err(Error::invalid("path", format!("{READ_ONLY}: {}", path.attribute.name)));
            }
            at(resource, verb, &path, value)
        }
        None if verb == Verb::Remove => {
            Err(Error::invalid("path", format!("{NO_TARGET}: remove needs a path")))
        }
        None => {
            let Value::Object(members) = value else {
                return Err(Error::invalid("value", "must be an object if there is no path"));
            };
            for (name, value) in members {
                let path = Path::named(&name)?;
                let attribute = path.attribute.name.as_str();
                // Providers send the whole resource back, including attributes that the server sets. Unknown
                // items of lists are ignored in the same way as unknown attributes.
                let kept = path.filter.is_none() || super::is_known(attribute);
                if kept && !SET_BY_SERVER.contains(&attribute) {
                    at(resource, verb, &path, value)?;
                }
            }
            Ok(())
        }
    }
}

fn at(resource: &mut Map<String, Value>, verb: Verb, path: &Path, value: Value) -> Result<()> {
    let name = &path.attribute.name;
    match (&path.filter, &path.attribute.sub) {
        (Some(filter), sub) => in_list(resource, verb, name, filter, sub.as_deref(), value),
        (None, Some(sub)) => within(resource, verb, name, sub, value),
        (None, None) => whole(resource, verb, name, value),
    }
}

/// Applies an operation to a whole attribute.
fn whole(resource: &mut Map<String, Value>, verb: Verb, name: &str, value: Value) -> Result<()> {
    let is_list = LISTS.contains(&name);
    match (verb, value) {
        // Some providers list the items to remove in the value. An empty list removes nothing.
        (Verb::Remove, value) if is_list && !value.is_null() => {
            let unwanted = items(value);
            if unwanted.iter().any(|item| key(item).is_null()) {
                return Err(Error::invalid("value", "must contain the value of each item to remove"));
            }
            if let Some(Value::Array(items)) = resource.get_mut(name) {
                items.retain(|item| !unwanted.iter().any(|other| same(item, other)));
            }
        }
        (Verb::Remove, _) | (_, Value::Null) => {
            resource.remove(name);
        }
        (Verb::Add, value) if is_list => add_items(resource, name, items(value)),
        (Verb::Replace, value) if is_list => {
            resource.insert(name.to_owned(), Value::Array(items(value)));
        }
        (_, Value::Object(members)) => match resource.get_mut(name) {
            Some(Value::Object(before)) => before.extend(members),
            _ => {
                resource.insert(name.to_owned(), Value::Object(members));
            }
        },
        (_, value) => {
            resource.insert(name.to_owned(), value);
        }
    }
    Ok(())
}

/// The items of a list, or a single item.
fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        item => vec![item],
    }
}

/// The value that identifies an item of a list; null if there is none.
fn key(item: &Value) -> &Value {
    if item.is_object() { &item["value"] } else { item }
}

/// Whether two items of a list have the same identity.
fn same(left: &Value, right: &Value) -> bool {
    let (left, right) = (key(left), key(right));
    !left.is_null() && left == right
}

/// Adds items, and replaces items with the same identity. Only the newest primary item stays primary.
fn add_items(resource: &mut Map<String, Value>, name: &str, new: Vec<Value>) {
    let list = resource.entry(name).or_insert_with(|| Value::Array(Vec::new()));
    if !list.is_array() {
        *list = Value::Array(Vec::new());
    }
    let Some(list) = list.as_array_mut() else { return };
    for item in new {
        if item["primary"] == true {
            list.iter_mut().filter_map(Value::as_object_mut).for_each(|other| {
                other.remove("primary");
            });
        }
        match list.iter_mut().find(|other| same(other, &item)) {
            Some(Value::Object(before)) => {
                if let Value::Object(members) = item {
                    before.extend(members);
                }
            }
            Some(_) => {}
            None => list.push(item),
        }
    }
}

/// Applies an operation to a sub-attribute of an object, or of every item of a list.
fn within(resource: &mut Map<String, Value>, verb: Verb, name: &str, sub: &str, value: Value) -> Result<()> {
    if verb != Verb::Remove && !resource.contains_key(name) {
        let empty = Value::Object(Map::new());
        let empty = if LISTS.contains(&name) { Value::Array(vec![empty]) } else { empty };
        resource.insert(name.to_owned(), empty);
    }
    match resource.get_mut(name) {
        None => Ok(()),
        Some(Value::Object(members)) => {
            set(members, verb, sub, value);
            Ok(())
        }
        Some(Value::Array(items)) => {
            let items = items.iter_mut().filter_map(Value::as_object_mut);
            items.for_each(|item| set(item, verb, sub, value.clone()));
            Ok(())
        }
        Some(_) => Err(Error::invalid("path", format!("{name} has nothing within it"))),
    }
}

fn set(members: &mut Map<String, Value>, verb: Verb, name: &str, value: Value) {
    if verb == Verb::Remove || value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
}

/// Applies an operation to the items of a list that match a filter.
fn in_list(
    resource: &mut Map<String, Value>,
    verb: Verb,
    name: &str,
    filter: &Filter,
    sub: Option<&str>,
    value: Value,
) -> Result<()> {
    let found = match resource.get_mut(name) {
        Some(Value::Array(items)) => items,
        _ => &mut Vec::new(),
    };
    if verb == Verb::Remove && sub.is_none() {
        found.retain(|item| !filter.matches(item));
        return Ok(());
    }
    if sub.is_none() && !value.is_object() {
        return Err(Error::invalid("value", "must be an object: the path names items of a list"));
    }
    let mut count = 0;
    for item in found.iter_mut().filter(|item| filter.matches(item)).filter_map(Value::as_object_mut) {
        count += 1;
        match (sub, &value) {
            (Some(sub), value) => set(item, verb, sub, value.clone()),
            (None, Value::Object(members)) => item.extend(members.clone()),
            (None, _) => {}
        }
    }
    if count > 0 || verb == Verb::Remove {
        return Ok(());
    }
    let item = (verb == Verb::Add).then(|| described(filter)).flatten();
    let mut item =
        item.ok_or_else(|| Error::invalid("path", format!("{NO_TARGET}: no item is like that")))?;
    match (sub, value) {
        (Some(sub), value) => set(&mut item, verb, sub, value),
        (None, Value::Object(members)) => item.extend(members),
        (None, _) => {}
    }
    add_items(resource, name, vec![Value::Object(item)]);
    Ok(())
}

/// The item that a filter describes: `type eq "work"`.
fn described(filter: &Filter) -> Option<Map<String, Value>> {
    match filter {
        Filter::Compare(Attribute { name, sub: None }, Comparison::Equal, value) => {
            Some(Map::from_iter([(name.clone(), value.clone())]))
        }
        Filter::And(parts) => {
            let parts: Option<Vec<_>> = parts.iter().map(described).collect();
            Some(parts?.into_iter().flatten().collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
