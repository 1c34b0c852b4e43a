//! Filters: `userName eq "ada" and emails[type eq "work"]`. The parser limits length and depth, and reports
//! invalid filters as errors.

use super::{lexer::Lexer, spelling, without_schema};
use ootheca_model::{Error, Result, Timestamp};
use serde_json::Value;
use std::cmp::Ordering;

/// The maximum length of a filter in bytes.
const LONGEST: usize = 8 * 1024;
/// The maximum nesting of brackets.
const DEEPEST: usize = 32;

/// An attribute, optionally with a sub-attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Name of the attribute.
    pub name: String,
    /// Name of the sub-attribute.
    pub sub: Option<String>,
}

impl Attribute {
    /// Parses `name` or `name.sub`, with or without a schema prefix.
    pub fn read(text: &str) -> Self {
        let text = without_schema(text);
        // An attribute of another schema: its dots do not separate sub-attributes.
        if text.contains(':') {
            return Self { name: text.to_owned(), sub: None };
        }
        match text.split_once('.') {
            Some((name, sub)) => {
                Self { name: spelling(name).to_owned(), sub: Some(spelling(sub).to_owned()) }
            }
            None => Self { name: spelling(text).to_owned(), sub: None },
        }
    }

    /// The values of the attribute in `resource`. The items of lists are returned one by one.
    pub fn values<'a>(&self, resource: &'a Value) -> Vec<&'a Value> {
        let top = flat(resource.get(&self.name));
        match &self.sub {
            None => top,
            Some(sub) => top.into_iter().flat_map(|value| flat(value.get(sub))).collect(),
        }
    }

    /// The name of the attribute or sub-attribute whose values are compared.
    fn last(&self) -> &str {
        self.sub.as_deref().unwrap_or(&self.name)
    }
}

fn flat(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.iter().collect(),
        Some(value) => vec![value],
    }
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Contains,
    StartsWith,
    EndsWith,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// A condition on a resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All of these hold.
    And(Vec<Filter>),
    /// At least one of these holds.
    Or(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
    /// The attribute has a value.
    Present(Attribute),
    /// The comparison with a value of the attribute holds.
    Compare(Attribute, Comparison, Value),
    /// The filter matches an item of the attribute.
    Within(Attribute, Box<Filter>),
}

impl Filter {
    /// Parses a filter.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > LONGEST {
            return Err(Error::invalid("filter", format!("must have at most {LONGEST} bytes")));
        }
        let mut lexer = Lexer::new("filter", text);
        let filter = any(&mut lexer, 0)?;
        if lexer.ended() { Ok(filter) } else { Err(lexer.wrong("\"and\", \"or\" or the end")) }
    }

    /// Whether the filter matches `resource`.
    pub fn matches(&self, resource: &Value) -> bool {
        match self {
            Filter::And(parts) => parts.iter().all(|part| part.matches(resource)),
            Filter::Or(parts) => parts.iter().any(|part| part.matches(resource)),
            Filter::Not(part) => !part.matches(resource),
            Filter::Present(attribute) => attribute.values(resource).into_iter().any(present),
            Filter::Within(attribute, part) => {
                attribute.values(resource).into_iter().any(|item| part.matches(item))
            }
            Filter::Compare(attribute, comparison, wanted) => {
                let values = attribute.values(resource);
                let exact = ["id", "externalId"].contains(&attribute.last());
                let equal = |value: &Value| compare(simple(value), wanted, exact) == Some(Ordering::Equal);
                match comparison {
                    Comparison::Equal if wanted.is_null() => values.is_empty(),
                    Comparison::NotEqual if wanted.is_null() => !values.is_empty(),
                    Comparison::Equal => values.into_iter().any(equal),
                    Comparison::NotEqual => !values.into_iter().any(equal),
                    other => values.into_iter().any(|value| holds(simple(value), *other, wanted, exact)),
                }
            }
        }
    }
}

/// The value by which an item of a list is compared.
fn simple(value: &Value) -> &Value {
    if value.is_object() { &value["value"] } else { value }
}

fn present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn holds(value: &Value, comparison: Comparison, wanted: &Value, exact: bool) -> bool {
    let order = || compare(value, wanted, exact);
    let texts = |test: fn(&str, &str) -> bool| match (value, wanted) {
        (Value::String(value), Value::String(wanted)) => test(&folded(value, exact), &folded(wanted, exact)),
        _ => false,
    };
    match comparison {
        Comparison::Equal => order() == Some(Ordering::Equal),
        Comparison::NotEqual => order() != Some(Ordering::Equal),
        Comparison::Contains => texts(|value, wanted| value.contains(wanted)),
        Comparison::StartsWith => texts(|value, wanted| value.starts_with(wanted)),
        Comparison::EndsWith => texts(|value, wanted| value.ends_with(wanted)),
        Comparison::Greater => order() == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => order().is_some_and(Ordering::is_ge),
        Comparison::Less => order() == Some(Ordering::Less),
        Comparison::LessOrEqual => order().is_some_and(Ordering::is_le),
    }
}

fn folded(text: &str, exact: bool) -> String {
    if exact { text.to_owned() } else { text.to_lowercase() }
}

/// Orders two values of the same type. Times are compared as times, and texts without regard to case unless
/// `exact` is set.
pub fn compare(left: &Value, right: &Value, exact: bool) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => {
            match (left.parse::<Timestamp>(), right.parse::<Timestamp>()) {
                (Ok(left), Ok(right)) => Some(left.cmp(&right)),
                _ => Some(folded(left, exact).cmp(&folded(right, exact))),
            }
        }
        (Value::Number(left), Value::Number(right)) => left.as_f64()?.partial_cmp(&right.as_f64()?),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// `a or b or …`
pub(super) fn any(lexer: &mut Lexer<'_>, depth: usize) -> Result<Filter> {
    let mut parts = vec![all(lexer, depth)?];
    while lexer.keyword("or") {
        parts.push(all(lexer, depth)?);
    }
    Ok(single(parts, Filter::Or))
}

/// `a and b and …`
fn all(lexer: &mut Lexer<'_>, depth: usize) -> Result<Filter> {
    let mut parts = vec![term(lexer, depth)?];
    while lexer.keyword("and") {
        parts.push(term(lexer, depth)?);
    }
    Ok(single(parts, Filter::And))
}

fn single(mut parts: Vec<Filter>, several: fn(Vec<Filter>) -> Filter) -> Filter {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            several(parts)
        }
    }
}

fn term(lexer: &mut Lexer<'_>, depth: usize) -> Result<Filter> {
    if lexer.keyword("not") {
        if !lexer.sign('(') {
            return Err(lexer.wrong("\"(\""));
        }
        return Ok(Filter::Not(Box::new(bracketed(lexer, ')', depth)?)));
    }
    if lexer.sign('(') {
        return bracketed(lexer, ')', depth);
    }
    let attribute = Attribute::read(lexer.name()?);
    if lexer.sign('[') {
        let items = bracketed(lexer, ']', depth)?;
        if lexer.sign('.') {
            let sub = Attribute::read(lexer.name()?);
            return Ok(of_items(attribute, items, comparison(lexer, sub)?));
        }
        return Ok(Filter::Within(attribute, Box::new(items)));
    }
    comparison(lexer, attribute)
}

/// `emails[items].value eq "x"`: a comparison of a sub-attribute of those items. As without brackets, `ne` means
/// that no value is equal.
fn of_items(attribute: Attribute, items: Filter, comparison: Filter) -> Filter {
    let (negated, comparison) = match comparison {
        Filter::Compare(sub, Comparison::NotEqual, wanted) if !wanted.is_null() => {
            (true, Filter::Compare(sub, Comparison::Equal, wanted))
        }
        Filter::Compare(sub, Comparison::Equal, Value::Null) => {
            (true, Filter::Compare(sub, Comparison::NotEqual, Value::Null))
        }
        other => (false, other),
    };
    let found = Filter::Within(attribute, Box::new(Filter::And(vec![items, comparison])));
    if negated { Filter::Not(Box::new(found)) } else { found }
}

/// Parses the rest of an open bracket.
pub(super) fn bracketed(lexer: &mut Lexer<'_>, end: char, depth: usize) -> Result<Filter> {
    if depth == DEEPEST {
        let rule = format!("must have at most {DEEPEST} nested brackets");
        return Err(Error::invalid(lexer.field, rule));
    }
    let filter = any(lexer, depth + 1)?;
    if lexer.sign(end) { Ok(filter) } else { Err(lexer.wrong(&format!("\"{end}\""))) }
}

fn comparison(lexer: &mut Lexer<'_>, attribute: Attribute) -> Result<Filter> {
    const WORDS: [(&str, Comparison); 9] = [
        ("eq", Comparison::Equal),
        ("ne", Comparison::NotEqual),
        ("co", Comparison::Contains),
        ("sw", Comparison::StartsWith),
        ("ew", Comparison::EndsWith),
        ("gt", Comparison::Greater),
        ("ge", Comparison::GreaterOrEqual),
        ("lt", Comparison::Less),
        ("le", Comparison::LessOrEqual),
    ];
    let word = lexer.word();
    if word.eq_ignore_ascii_case("pr") {
        return Ok(Filter::Present(attribute));
    }
    let Some((_, comparison)) = WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)) else {
        return Err(lexer.wrong("one of eq, ne, co, sw, ew, pr, gt, ge, lt, le"));
    };
    let wanted = lexer.literal()?;
    let fits = match comparison {
        Comparison::Equal | Comparison::NotEqual => true,
        Comparison::Contains | Comparison::StartsWith | Comparison::EndsWith => wanted.is_string(),
        _ => wanted.is_string() || wanted.is_number(),
    };
    if fits {
        Ok(Filter::Compare(attribute, *comparison, wanted))
    } else {
        Err(Error::invalid(lexer.field, format!("{word} cannot compare with {wanted}")))
    }
}

#[cfg(test)]
mod tests;
