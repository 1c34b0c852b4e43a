//! Extensions of the official API that changes support: an idempotency key and a dry run.
//!
//! Operations whose effect cannot be repeated or undone, and those that answer with a cookie, refuse both. Four
//! operations have an idempotency key in body or query already; it is the same key.

use crate::{
    decode,
    operations::{Op, Operation},
    params::Pairs,
    requests,
};
use ootheca_model::{Error, Result};
use serde_json::{Map, Value, json};

/// The header that contains the key.
pub const KEY_HEADER: &str = "Idempotency-Key";
/// The parameter that requests a dry run.
pub const DRY_RUN: &str = "dry_run";
/// The member of body or query that contains the key, in operations that have one.
const KEY_FIELD: &str = "idempotency_key";
/// The maximum length of a key.
const LONGEST_KEY: usize = 255;

/// The extensions that a request uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// The key under which the change is made only once.
    pub key: Option<String>,
    /// Whether to do everything except the change.
    pub dry_run: bool,
    /// The request in one canonical spelling, without its extensions: equal requests have equal texts.
    pub canonical: String,
}

impl Extensions {
    /// Reads the extensions of a change. `header` is the value of [`KEY_HEADER`]; `query` and `body` are the
    /// raw query and body.
    pub fn read(row: &Operation, header: Option<&str>, query: &str, body: &[u8]) -> Result<Self> {
        let pairs = decode::pairs(query)?;
        if !are_supported(row.op) {
            refuse(header.is_some(), &pairs)?;
            return Ok(Self::default());
        }
        let mut body = if row.has_body { members(row.op, body)? } else { Map::new() };
        let dry_run = dry_run(&pairs)?;
        let own = own_key(row.op, &pairs, &mut body)?;
        let key = match (header, own) {
            (Some(header), Some(own)) if header != own => {
                let rule = format!("differs from {KEY_FIELD} in the request");
                return Err(Error::invalid(KEY_HEADER, rule));
            }
            (Some(header), _) => Some(checked(KEY_HEADER, header)?),
            (None, Some(own)) => Some(checked(KEY_FIELD, &own)?),
            (None, None) => None,
        };
        Ok(Self { key, dry_run, canonical: canonical(row.op, pairs, body) })
    }
}

/// Whether a change supports the extensions.
pub fn are_supported(op: Op) -> bool {
    let refusing =
        [Op::CreateSession, Op::DeleteCurrentSession, Op::ChangePassword, Op::RunStatement, Op::AdvanceClock];
    !refusing.contains(&op)
}

/// Refuses both extensions. Otherwise a dry run would make the change, and a repeated request would make it
/// twice.
fn refuse(has_key: bool, pairs: &Pairs) -> Result<()> {
    let rule = "is not supported here: leave it out";
    if has_key {
        return Err(Error::invalid(KEY_HEADER, rule));
    }
    match pairs.get(DRY_RUN) {
        None | Some("" | "false") => Ok(()),
        Some(_) => Err(Error::invalid(DRY_RUN, rule)),
    }
}

fn members(op: Op, body: &[u8]) -> Result<Map<String, Value>> {
    match requests::normalize(op, requests::parse(body)?)? {
        Value::Object(members) => Ok(members),
        _ => Ok(Map::new()),
    }
}

/// Whether the request is a dry run. Any value except `true` and `false` is an error, because a wrong guess
/// would make the change.
fn dry_run(pairs: &Pairs) -> Result<bool> {
    let mut wish = None;
    for (_, text) in pairs.0.iter().filter(|(name, _)| name == DRY_RUN) {
        let read = match text.as_str() {
            "true" => true,
            "false" => false,
            _ => return Err(Error::invalid(DRY_RUN, format!("must be true or false, not {text:?}"))),
        };
        if wish.is_some_and(|before| before != read) {
            return Err(Error::invalid(DRY_RUN, "has two different values"));
        }
        wish = Some(read);
    }
    Ok(wish.unwrap_or(false))
}

/// Removes the key from the body, for operations that have one in the official API.
fn own_key(op: Op, pairs: &Pairs, body: &mut Map<String, Value>) -> Result<Option<String>> {
    let key = match op {
        Op::AddEgressRule | Op::EditEgressRule | Op::SetEgressTrafficPolicy => body.remove(KEY_FIELD),
        Op::DeleteEgressRule => pairs.get(KEY_FIELD).map(Value::from),
        _ => None,
    };
    match key {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Error::invalid(KEY_FIELD, "must be a string")),
    }
}

fn checked(name: &str, key: &str) -> Result<String> {
    let good = (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    let rule = format!("must have 1 to {LONGEST_KEY} visible ASCII characters, without spaces");
    if good { Ok(key.to_owned()) } else { Err(Error::invalid(name, rule)) }
}

fn canonical(op: Op, pairs: Pairs, body: Map<String, Value>) -> String {
    let own = |name: &str| name == DRY_RUN || (name == KEY_FIELD && op == Op::DeleteEgressRule);
    let mut pairs: Vec<(String, String)> = pairs.0.into_iter().filter(|(name, _)| !own(name)).collect();
    pairs.sort();
    json!([pairs, body]).to_string()
}

/// The parameters that every change has in the OpenAPI document.
pub(crate) fn components() -> [(&'static str, Value); 2] {
    [
        (
            KEY_HEADER,
            json!({
                "name": KEY_HEADER,
                "in": "header",
                "required": false,
                "description": "Extension. A change is made only once for each key. For 24 hours, the same request with the same key gets the same response, and a different request is refused.",
                "schema": { "type": "string", "minLength": 1, "maxLength": LONGEST_KEY },
            }),
        ),
        (
            DRY_RUN,
            json!({
                "name": DRY_RUN,
                "in": "query",
                "required": false,
                "description": "Extension. Checks the request and returns the response that it would get, without changing anything.",
                "schema": { "type": "boolean" },
            }),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::operation;
    use proptest::prelude::*;

    fn read(op: Op, header: Option<&str>, query: &str, body: &str) -> Result<Extensions> {
        Extensions::read(operation(op), header, query, body.as_bytes())
    }

    #[test]
    fn the_key_is_read_from_the_header_body_or_query() {
        let key = |op, header, query, body| read(op, header, query, body).unwrap().key;
        assert_eq!(key(Op::CreateDatabase, None, "", r#"{"idempotency_key":"a"}"#), None);
        assert_eq!(key(Op::CreateDatabase, Some("a"), "", "{}").as_deref(), Some("a"));
        assert_eq!(key(Op::AddEgressRule, None, "", r#"{"idempotencyKey":"a"}"#).as_deref(), Some("a"));
        assert_eq!(key(Op::EditEgressRule, None, "", r#"{"idempotency_key":""}"#), None);
        assert_eq!(
            key(Op::SetEgressTrafficPolicy, Some("a"), "", r#"{"idempotency_key":"a"}"#).as_deref(),
            Some("a")
        );
        assert_eq!(key(Op::DeleteEgressRule, None, "idempotency_key=a", "").as_deref(), Some("a"));
        let refused = read(Op::AddEgressRule, Some("a"), "", r#"{"idempotency_key":"b"}"#).unwrap_err();
        assert!(refused.message().contains("differs"), "{refused}");
        for bad in ["", " ", "a b", "ä", &"x".repeat(256)] {
            assert!(read(Op::CreateDatabase, Some(bad), "", "").is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_dry_run_is_true_or_false() {
        let dry = |query| read(Op::CreateDatabase, None, query, "").map(|read| read.dry_run);
        assert!(!dry("").unwrap() && !dry("dry_run=false").unwrap());
        assert!(dry("dry_run=true").unwrap() && dry("dryRun=true").unwrap());
        assert!(dry("dry_run=true&dryRun=true").unwrap());
        for bad in
            ["dry_run", "dry_run=", "dry_run=yes", "dry_run=1", "dry_run=TRUE", "dry_run=&dry_run=true"]
        {
            let error = dry(bad).unwrap_err();
            assert!(error.message().contains("dry_run: must be true or false"), "{bad}: {error}");
        }
        for bad in ["dry_run=true&dry_run=false", "dryRun=false&dry_run=true"] {
            assert!(dry(bad).unwrap_err().message().contains("dry_run: has two different values"), "{bad}");
        }
    }

    #[test]
    fn operations_without_support_refuse_both() {
        let read = |header, query| read(Op::CreateSession, header, query, "{}");
        for query in ["", "a=1", "dry_run=false", "dry_run=", "dryRun=false"] {
            assert_eq!(read(None, query).unwrap(), Extensions::default(), "{query}");
            assert!(read(Some("a"), query).unwrap_err().message().contains(KEY_HEADER), "{query}");
        }
        for query in ["dry_run=true", "dryRun=true", "dry_run=yes", "dry_run=1", "a=1&dry_run=TRUE"] {
            assert!(read(None, query).unwrap_err().message().contains(DRY_RUN), "{query}");
        }
    }

    #[test]
    fn the_canonical_text_ignores_spelling_and_order() {
        let text = |query, body| read(Op::EditDatabase2, None, query, body).unwrap().canonical;
        let first = text("a=1&b=2", r#"{"new_name":"x","name":"y"}"#);
        assert_eq!(first, text("b=2&a=1&dry_run=true", r#" {"name":"y", "newName":"x"} "#));
        assert_ne!(first, text("a=1&b=2", r#"{"new_name":"x","name":"z"}"#));
        assert_ne!(first, text("a=1&b=3", r#"{"new_name":"x","name":"y"}"#));
    }

    proptest! {
        #[test]
        fn different_bodies_have_different_canonical_texts(a in "[ab\",:]{0,4}", b in "[ab\",:]{0,4}") {
            let text = |name: &str| {
                let body = json!({ "name": name }).to_string();
                read(Op::CreateDatabase, None, "", &body).unwrap().canonical
            };
            prop_assert_eq!(a == b, text(&a) == text(&b));
        }
    }
}
