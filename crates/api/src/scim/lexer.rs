//! Tokenizer for filters and paths.

use ootheca_model::{Error, Result};
use serde_json::Value;

/// The rest of a text.
pub(super) struct Lexer<'a> {
    /// The field of the request, for error messages.
    pub(super) field: &'static str,
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(field: &'static str, text: &'a str) -> Self {
        Self { field, text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// An error at this position.
    pub(super) fn wrong(&self, expected: &str) -> Error {
        let place = self.text[..self.at].chars().count() + 1;
        Error::invalid(self.field, format!("{expected} expected at character {place}"))
    }

    pub(super) fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Whether only white space is left.
    pub(super) fn ended(&mut self) -> bool {
        self.skip_spaces();
        self.rest().is_empty()
    }

    /// Consumes a sign if it is next.
    pub(super) fn sign(&mut self, sign: char) -> bool {
        self.skip_spaces();
        let next = self.rest().starts_with(sign);
        if next {
            self.at += sign.len_utf8();
        }
        next
    }

    /// The next word of letters, without consuming it.
    fn letters(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        &rest[..end]
    }

    /// Consumes a keyword in any case, if it is the whole next word.
    pub(super) fn keyword(&mut self, word: &str) -> bool {
        self.skip_spaces();
        let found = self.letters();
        let behind = self.rest()[found.len()..].chars().next();
        let whole = found.eq_ignore_ascii_case(word) && behind.is_none_or(|c| c.is_whitespace() || c == '(');
        if whole {
            self.at += found.len();
        }
        whole
    }

    /// Consumes a word of letters.
    pub(super) fn word(&mut self) -> &'a str {
        self.skip_spaces();
        let word = self.letters();
        self.at += word.len();
        word
    }

    /// Consumes the name of an attribute, with its schema and sub-attribute if it has them.
    pub(super) fn name(&mut self) -> Result<&'a str> {
        self.skip_spaces();
        let rest = self.rest();
        let part = |c: char| c.is_ascii_alphanumeric() || "$-_.:".contains(c);
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        if end == 0 || !rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$') {
            return Err(self.wrong("the name of an attribute"));
        }
        self.at += end;
        Ok(&rest[..end])
    }

    /// Consumes a JSON string, number, `true`, `false`, or `null`.
    pub(super) fn literal(&mut self) -> Result<Value> {
        const WANTED: &str = "a text in double quotes, a number, true, false or null";
        self.skip_spaces();
        let rest = self.rest();
        let end = match rest.strip_prefix('"') {
            Some(text) => end_of_text(text).map_or(rest.len(), |end| end + 2),
            None => rest.find(|c: char| c.is_whitespace() || "()[]".contains(c)).unwrap_or(rest.len()),
        };
        match serde_json::from_str::<Value>(&rest[..end]) {
            Ok(value) if !value.is_array() && !value.is_object() => {
                self.at += end;
                Ok(value)
            }
            _ => Err(self.wrong(WANTED)),
        }
    }
}

/// The position of the quote that ends a text.
fn end_of_text(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}
