//! Derives the flags of an operation from the OpenAPI document: a flag for each path and query parameter,
//! and for each top-level member of the body.

use ootheca_api::operations::Operation;
use serde_json::Value;

/// Flag names that are taken by other options.
const RESERVED: [&str; 18] = [
    "api-key",
    "body",
    "cloud",
    "data-dir",
    "dry-run",
    "help",
    "idempotency-key",
    "json",
    "list",
    "no-color",
    "no-wait",
    "output",
    "profile",
    "server",
    "version",
    "version-header",
    "wait",
    "yes",
];

/// Where in the request the value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Location {
    Path,
    Query,
    Body,
}

impl Location {
    fn name(self) -> &'static str {
        match self {
            Location::Path => "path",
            Location::Query => "query",
            Location::Body => "body",
        }
    }
}

/// The type of a flag's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Integer,
    Number,
    Boolean,
    /// One of these values.
    Enum(Vec<String>),
    /// A list; the flag can be repeated.
    List(Box<Type>),
    /// Any other type, as JSON.
    Json,
}

impl Type {
    /// The placeholder in the help text.
    pub(super) fn value_name(&self) -> &'static str {
        match self {
            Type::Text => "TEXT",
            Type::Integer => "INTEGER",
            Type::Number => "NUMBER",
            Type::Boolean => "true|false",
            Type::Enum(_) => "VALUE",
            Type::List(items) => items.value_name(),
            Type::Json => "JSON",
        }
    }
}

/// A flag of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flag {
    /// Name of the flag, without dashes.
    pub(super) long: String,
    /// Name in the request.
    pub(super) wire: String,
    pub(super) location: Location,
    pub(super) value_type: Type,
    pub(super) required: bool,
    pub(super) help: String,
}

impl Flag {
    /// An ID that is unique within the command.
    pub(super) fn id(&self) -> String {
        format!("{}:{}", self.location.name(), self.wire)
    }
}

/// The operation in the OpenAPI document.
pub(super) fn operation<'a>(document: &'a Value, row: &Operation) -> &'a Value {
    &document["paths"][row.path][row.method.name().to_ascii_lowercase()]
}

/// The supported versions of the API.
pub(super) fn versions(document: &Value) -> Vec<String> {
    enum_values(&document["components"]["parameters"]["Cc-Version"]["schema"])
}

/// The flags of an operation. Path parameters come first, and so keep their names if names collide.
pub(super) fn of(document: &Value, row: &Operation) -> Vec<Flag> {
    let operation = operation(document, row);
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut flags: Vec<Flag> = parameters.iter().filter_map(|given| parameter(document, given)).collect();
    flags.sort_by_key(|flag| flag.location != Location::Path);
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    flags.extend(members(document, schema));
    let mut names: Vec<String> = RESERVED.iter().map(|name| (*name).to_owned()).collect();
    for flag in &mut flags {
        if names.contains(&flag.long) {
            flag.long = format!("{}-{}", flag.location.name(), flag.long);
        }
        names.push(flag.long.clone());
    }
    flags
}

/// The flag of a path or query parameter. Headers have flags of their own.
fn parameter(document: &Value, given: &Value) -> Option<Flag> {
    let location = match given["in"].as_str()? {
        "path" => Location::Path,
        "query" => Location::Query,
        _ => return None,
    };
    let wire = given["name"].as_str()?;
    Some(Flag {
        long: kebab(wire.strip_prefix("pagination.").unwrap_or(wire)),
        wire: wire.to_owned(),
        location,
        value_type: value_type(document, &given["schema"]),
        required: given["required"].as_bool().unwrap_or_default(),
        help: given["description"].as_str().unwrap_or_default().to_owned(),
    })
}

fn members(document: &Value, schema: &Value) -> Vec<Flag> {
    let schema = resolved(document, schema);
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    properties
        .iter()
        .map(|(name, schema)| Flag {
            long: kebab(name),
            wire: name.clone(),
            location: Location::Body,
            value_type: value_type(document, schema),
            required: required.contains(&name.as_str()),
            help: schema["description"].as_str().unwrap_or_default().to_owned(),
        })
        .collect()
}

/// Follows references, and skips `null` in a union with one other schema.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(target) = schema["$ref"].as_str().and_then(|target| target.strip_prefix('#')) {
        return document.pointer(target).map_or(schema, |schema| resolved(document, schema));
    }
    for several in ["anyOf", "oneOf", "allOf"] {
        let Some(all) = schema[several].as_array() else { continue };
        let mut all = all.iter().filter(|one| one["type"] != "null");
        if let (Some(only), None) = (all.next(), all.next()) {
            return resolved(document, only);
        }
    }
    schema
}

fn value_type(document: &Value, schema: &Value) -> Type {
    let schema = resolved(document, schema);
    let values = enum_values(schema);
    if !values.is_empty() {
        return Type::Enum(values);
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect(),
        _ => Vec::new(),
    };
    match types.as_slice() {
        ["string"] => Type::Text,
        ["integer"] => Type::Integer,
        ["number"] => Type::Number,
        ["boolean"] => Type::Boolean,
        ["array"] => match value_type(document, &schema["items"]) {
            Type::Json | Type::List(_) | Type::Boolean => Type::Json,
            items => Type::List(Box::new(items)),
        },
        // An integer that can also be written as a string.
        ["string", _] | [_, "string"] => Type::Text,
        _ => Type::Json,
    }
}

fn enum_values(schema: &Value) -> Vec<String> {
    if let Some(all) = schema["enum"].as_array() {
        return all.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    let constants = schema["oneOf"].as_array().into_iter().flatten();
    constants.filter_map(|one| one["const"].as_str()).map(str::to_owned).collect()
}

/// Converts names such as `ListSQLUsers`, `startIndex`, and `sort_by` to kebab case.
pub(super) fn kebab(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut text = String::new();
    for (index, letter) in letters.iter().enumerate() {
        if !letter.is_ascii_alphanumeric() {
            if !text.is_empty() && !text.ends_with('-') {
                text.push('-');
            }
            continue;
        }
        let before = index.checked_sub(1).map(|before| letters[before]);
        let after_small = before.is_some_and(|before| before.is_ascii_lowercase() || before.is_ascii_digit());
        let before_small = letters.get(index + 1).is_some_and(char::is_ascii_lowercase);
        let ends_capitals = before.is_some_and(|before| before.is_ascii_uppercase()) && before_small;
        if letter.is_ascii_uppercase() && (after_small || ends_capitals) {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text.trim_end_matches('-').to_owned()
}
