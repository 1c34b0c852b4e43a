//! Text representation of the names of roles and databases inside a cluster.
//!
//! PostgreSQL stores a name as bytes in the encoding of the database in which it was created, so the bytes
//! need not be UTF-8. A name that is not UTF-8, or that contains control characters, is displayed in escaped
//! form: `\xff` is a byte, and `\\` is a backslash. A name that contains text such as `\xff` is escaped too,
//! so that different names are always displayed differently. Every other name is displayed unchanged,
//! including backslashes.

use std::fmt::Write as _;

/// Returns the displayed form of a name.
pub fn show(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if is_plain(text) => text.to_owned(),
        _ => escape(name),
    }
}

/// Parses a name in displayed form. Returns `None` if the text is not a valid displayed form.
pub fn parse(text: &str) -> Option<Vec<u8>> {
    let name = if has_escape(text) { unescape(text)? } else { text.as_bytes().to_vec() };
    (show(&name) == text).then_some(name)
}

fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control) && !has_escape(text)
}

fn has_escape(text: &str) -> bool {
    text.match_indices(r"\x").any(|(at, _)| escaped_byte(&text.as_bytes()[at..]).is_some())
}

/// The byte that the escape sequence at the start of `text` represents.
fn escaped_byte(text: &[u8]) -> Option<u8> {
    let [b'\\', b'x', high, low, ..] = text else { return None };
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    Some(digit(*high)? << 4 | digit(*low)?)
}

fn escape(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len() * 2);
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str(r"\\"),
                _ if character.is_control() => {
                    escape_bytes(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => text.push(character),
            }
        }
        escape_bytes(&mut text, chunk.invalid());
    }
    text
}

fn escape_bytes(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, r"\x{byte:02x}");
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let (byte, length) = match (first, after.first()) {
            (b'\\', Some(b'\\')) => (b'\\', 2),
            (b'\\', _) => (escaped_byte(rest)?, 4),
            _ => (*first, 1),
        };
        name.push(byte);
        rest = rest.get(length..)?;
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::{parse, show};

    #[test]
    fn names_are_displayed_unchanged_unless_ambiguous() {
        let cases: [(&[u8], &str); 10] = [
            (b"keeper", "keeper"),
            ("größe".as_bytes(), "größe"),
            (br"a\b", r"a\b"),
            (br"a\\b", r"a\\b"),
            (br"\xFF", r"\xFF"),
            (b"bad\xff", r"bad\xff"),
            (br"bad\xff", r"bad\\xff"),
            (b"a\\b\xff", r"a\\b\xff"),
            (b"two\nlines", r"two\x0alines"),
            ("\u{85}".as_bytes(), r"\xc2\x85"),
        ];
        for (name, text) in cases {
            assert_eq!(show(name), text);
            assert_eq!(parse(text).as_deref(), Some(name), "{text}");
        }
    }

    #[test]
    fn text_that_displays_no_name_is_rejected() {
        for text in ["two\nlines", "nul\0", r"\x41", r"a\b\xff", r"\xff\", r"\xc3\xa9"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
