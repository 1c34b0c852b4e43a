//! SCIM 2.0, with which identity providers manage people and groups. This converts between users and people,
//! and between SCIM groups and groups.

pub mod groups;
mod people;
pub mod service;
pub mod users;

use crate::api::convert::required;
use ootheca_api::{
    scim::{
        self,
        filter::{self, Attribute, Filter},
        patch::{self, Verb},
        select::Selection,
    },
    wire::{ScimListQuery, ScimMetadata, ScimOperations, ScimShowQuery},
};
use ootheca_model::{Error, Result, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// The default number of items in a response.
const USUAL_COUNT: i32 = 20;
/// The maximum number of items in a response.
const MOST: i32 = 1000;
/// The maximum number of operations in a patch.
const MOST_OPERATIONS: usize = 1000;

/// A part of a list.
struct Page<T> {
    total: i32,
    start: i32,
    items: Vec<T>,
}

impl<T: Serialize + DeserializeOwned> Page<T> {
    /// The requested page of `all`, in the requested order.
    fn read(query: &ScimListQuery, all: Vec<T>) -> Result<Self> {
        let filter = query.filter.as_deref().filter(|text| !text.trim().is_empty());
        let filter = filter.map(Filter::parse).transpose()?;
        let mut found = Vec::with_capacity(all.len());
        for item in all {
            let item = json(item)?;
            if filter.as_ref().is_none_or(|filter| filter.matches(&item)) {
                found.push(item);
            }
        }
        sort(&mut found, query.sort_by.as_deref(), query.sort_order.as_deref())?;
        let start = query.start_index.map_or(1, |start| start.0.max(1));
        let count = query.count.map_or(USUAL_COUNT, |count| count.0).clamp(0, MOST);
        let total = int32(found.len());
        let selection = Selection::read(query.attributes.as_deref(), query.excluded_attributes.as_deref());
        let size = |number: i32| usize::try_from(number).unwrap_or(0);
        let part = found.into_iter().skip(size(start) - 1).take(size(count));
        let items = part.map(|item| typed(selection.apply(item))).collect::<Result<_>>()?;
        Ok(Self { total, start, items })
    }
}

macro_rules! answer {
    ($page:expr, $type:ident) => {{
        let page = $page;
        $type {
            schemas: vec![ootheca_api::scim::LIST.to_owned()],
            total_results: page.total,
            items_per_page: $crate::api::handlers::scim::int32(page.items.len()),
            start_index: page.start,
            resources: page.items,
        }
    }};
}
use answer;

fn int32(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Orders a list by an attribute. Items without it come last, as RFC 7644 requires for ascending lists.
fn sort(items: &mut [Value], by: Option<&str>, order: Option<&str>) -> Result<()> {
    let descending = match order.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "ascending") => false,
        Some("descending") => true,
        Some(_) => return Err(Error::invalid("sortOrder", "must be ascending or descending")),
    };
    let Some(by) = by.filter(|by| !by.is_empty()) else {
        if descending {
            items.reverse();
        }
        return Ok(());
    };
    let attribute = Attribute::read(by);
    let key = |item: &Value| {
        let first = attribute.values(item).into_iter().next()?;
        Some(if first.is_object() { first["value"].clone() } else { first.clone() })
    };
    let compare = |left: &Value, right: &Value| match (key(left), key(right)) {
        (Some(left), Some(right)) => filter::compare(&left, &right, false).unwrap_or(Ordering::Equal),
        (left, right) => left.is_none().cmp(&right.is_none()),
    };
    items.sort_by(|left, right| if descending { compare(right, left) } else { compare(left, right) });
    Ok(())
}

/// A resource with the requested attributes.
fn shown<T: Serialize + DeserializeOwned>(resource: T, query: &ScimShowQuery) -> Result<T> {
    let selection = Selection::read(query.attributes.as_deref(), query.excluded_attributes.as_deref());
    if selection == Selection::default() { Ok(resource) } else { typed(selection.apply(json(resource)?)) }
}

fn json<T: Serialize>(resource: T) -> Result<Value> {
    serde_json::to_value(resource).map_err(|error| Error::internal("a resource is not JSON").because(error))
}

fn typed<T: DeserializeOwned>(resource: Value) -> Result<T> {
    serde_json::from_value(resource)
        .map_err(|error| Error::internal("a patched resource has an invalid format").because(error))
}

/// Applies a patch to a resource. Returns the result as a request that replaces the whole resource.
fn patched<T: DeserializeOwned>(
    resource: impl Serialize,
    schemas: Option<&[String]>,
    operations: Option<Vec<ScimOperations>>,
) -> Result<T> {
    check_schema(schemas, scim::PATCH)?;
    let operations = required("Operations", operations)?;
    if operations.is_empty() || operations.len() > MOST_OPERATIONS {
        return Err(Error::invalid("Operations", format!("must be from 1 to {MOST_OPERATIONS}")));
    }
    let Value::Object(mut resource) = json(resource)? else { return Err(Error::internal("no object")) };
    for (place, operation) in operations.into_iter().enumerate() {
        apply(&mut resource, operation, place)?;
    }
    serde_json::from_value(Value::Object(resource))
        .map_err(|error| Error::invalid("value", format!("is invalid for the attribute: {error}")))
}

fn apply(resource: &mut Map<String, Value>, operation: ScimOperations, place: usize) -> Result<()> {
    let verb = required(&format!("Operations[{place}].op"), operation.op)?;
    patch::apply(resource, Verb::parse(&verb)?, operation.path.as_deref(), operation.value)
}

/// Refuses a request whose `schemas` do not contain `wanted`.
fn check_schema(schemas: Option<&[String]>, wanted: &str) -> Result<()> {
    let found = schemas.unwrap_or_default().iter().any(|schema| schema.eq_ignore_ascii_case(wanted));
    if found { Ok(()) } else { Err(Error::invalid("schemas", format!("must contain {wanted}"))) }
}

/// Metadata of a resource. `revision` is the one after the current change.
fn metadata(
    kind: &str,
    location: String,
    created: Timestamp,
    modified: Timestamp,
    revision: i64,
) -> ScimMetadata {
    ScimMetadata {
        resource_type: Some(kind.to_owned()),
        created: Some(created.to_string()),
        last_modified: Some(modified.to_string()),
        location: Some(location),
        version: Some(format!("W/\"{revision}\"")),
    }
}

/// The URL of a resource.
fn location(kind: &str, id: impl std::fmt::Display) -> String {
    format!("{}/{kind}s/{id}", scim::PREFIX)
}

/// Checks the length of a text. An empty text is the same as none.
fn text(field: &str, text: Option<String>) -> Result<Option<String>> {
    match text.filter(|text| !text.trim().is_empty()) {
        Some(text) if text.chars().count() > 256 || text.chars().any(char::is_control) => {
            Err(Error::invalid(field, "must have at most 256 characters, and no control characters"))
        }
        text => Ok(text),
    }
}
