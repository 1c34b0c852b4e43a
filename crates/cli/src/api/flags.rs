//! Which flags an operation has: the parameters of its path and query and the top-level members of its
//! body, by our OpenAPI document.

use ootheca_api::operations::Operation;
use serde_json::Value;

/// Flags that mean something else.
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

/// Where the value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Body,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Place::Path => "path",
            Place::Query => "query",
            Place::Body => "body",
        }
    }
}

/// What may be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    /// One of these words.
    Words(Vec<String>),
    /// Several, each by a flag of its own.
    List(Box<Kind>),
    /// Anything else, as JSON.
    Json,
}

impl Kind {
    /// For help.
    pub(super) fn value_name(&self) -> &'static str {
        match self {
            Kind::Text => "TEXT",
            Kind::Integer => "INTEGER",
            Kind::Number => "NUMBER",
            Kind::Boolean => "true|false",
            Kind::Words(_) => "WORD",
            Kind::List(items) => items.value_name(),
            Kind::Json => "JSON",
        }
    }
}

/// One flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flag {
    /// Without its dashes.
    pub(super) long: String,
    /// Its name in the request.
    pub(super) wire: String,
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) help: String,
}

impl Flag {
    /// One of a kind within its command.
    pub(super) fn id(&self) -> String {
        format!("{}:{}", self.place.name(), self.wire)
    }
}

/// The operation of a row.
pub(super) fn operation<'a>(document: &'a Value, row: &Operation) -> &'a Value {
    &document["paths"][row.path][row.method.name().to_ascii_lowercase()]
}

/// The versions that a request may be in.
pub(super) fn versions(document: &Value) -> Vec<String> {
    words(&document["components"]["parameters"]["Cc-Version"]["schema"])
}

/// All flags of a row; those of the path come first and keep their names.
pub(super) fn of(document: &Value, row: &Operation) -> Vec<Flag> {
    let operation = operation(document, row);
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut flags: Vec<Flag> = parameters.iter().filter_map(|given| parameter(document, given)).collect();
    flags.sort_by_key(|flag| flag.place != Place::Path);
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    flags.extend(members(document, schema));
    let mut names: Vec<String> = RESERVED.iter().map(|name| (*name).to_owned()).collect();
    for flag in &mut flags {
        if names.contains(&flag.long) {
            flag.long = format!("{}-{}", flag.place.name(), flag.long);
        }
        names.push(flag.long.clone());
    }
    flags
}

/// A parameter of path or query; headers have flags of their own.
fn parameter(document: &Value, given: &Value) -> Option<Flag> {
    let place = match given["in"].as_str()? {
        "path" => Place::Path,
        "query" => Place::Query,
        _ => return None,
    };
    let wire = given["name"].as_str()?;
    Some(Flag {
        long: kebab(wire.strip_prefix("pagination.").unwrap_or(wire)),
        wire: wire.to_owned(),
        place,
        kind: kind(document, &given["schema"]),
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
            place: Place::Body,
            kind: kind(document, schema),
            required: required.contains(&name.as_str()),
            help: schema["description"].as_str().unwrap_or_default().to_owned(),
        })
        .collect()
}

/// Follows references, and passes over the `null` beside another schema.
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

fn kind(document: &Value, schema: &Value) -> Kind {
    let schema = resolved(document, schema);
    let words = words(schema);
    if !words.is_empty() {
        return Kind::Words(words);
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect(),
        _ => Vec::new(),
    };
    match types.as_slice() {
        ["string"] => Kind::Text,
        ["integer"] => Kind::Integer,
        ["number"] => Kind::Number,
        ["boolean"] => Kind::Boolean,
        ["array"] => match kind(document, &schema["items"]) {
            Kind::Json | Kind::List(_) | Kind::Boolean => Kind::Json,
            items => Kind::List(Box::new(items)),
        },
        // A number that may also be written as a text.
        ["string", _] | [_, "string"] => Kind::Text,
        _ => Kind::Json,
    }
}

fn words(schema: &Value) -> Vec<String> {
    if let Some(all) = schema["enum"].as_array() {
        return all.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    let constants = schema["oneOf"].as_array().into_iter().flatten();
    constants.filter_map(|one| one["const"].as_str()).map(str::to_owned).collect()
}

/// `ListSQLUsers`, `startIndex` and `sort_by` as words with dashes.
pub(super) fn kebab(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut text = String::new();
    for (place, letter) in letters.iter().enumerate() {
        if !letter.is_ascii_alphanumeric() {
            if !text.is_empty() && !text.ends_with('-') {
                text.push('-');
            }
            continue;
        }
        let before = place.checked_sub(1).map(|before| letters[before]);
        let after_small = before.is_some_and(|before| before.is_ascii_lowercase() || before.is_ascii_digit());
        let before_small = letters.get(place + 1).is_some_and(char::is_ascii_lowercase);
        let ends_capitals = before.is_some_and(|before| before.is_ascii_uppercase()) && before_small;
        if letter.is_ascii_uppercase() && (after_small || ends_capitals) {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text.trim_end_matches('-').to_owned()
}
