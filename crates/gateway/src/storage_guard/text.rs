//! Analysis of SQL text for other parts of the program.

use super::lexer::{Lexer, Token};

/// Whether a text contains a statement that may add data, which a cluster over its storage limit refuses.
pub fn may_add_data(text: &str) -> bool {
    super::adds_data(text.as_bytes())
}

/// The first word, in lower case, after whitespace, comments, parentheses, and empty statements; `None` if
/// the text starts with another token.
pub fn first_word(text: &str) -> Option<String> {
    let skipped = |token: &Token<'_>| matches!(token, Token::Symbol(b'(' | b';'));
    match Lexer::new(text.as_bytes()).find(|token| !skipped(token))? {
        Token::Word(word) => Some(String::from_utf8_lossy(word).to_lowercase()),
        _ => None,
    }
}

/// The text with `***` in place of every string that follows the word PASSWORD, with or without an equals
/// sign in between.
pub fn without_passwords(text: &str) -> String {
    let (bytes, mut tokens) = (text.as_bytes(), Lexer::new(text.as_bytes()));
    let (mut out, mut done, mut secret) = (Vec::new(), 0, false);
    while let Some(token) = tokens.next() {
        let end = tokens.position();
        match token {
            Token::Value | Token::Unterminated if secret => out.extend_from_slice(b" '***'"),
            _ => out.extend_from_slice(&bytes[done..end]),
        }
        secret = token.is("password") || (secret && token == Token::Symbol(b'='));
        done = end;
    }
    out.extend_from_slice(&bytes[done..]);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_word_is_found() {
        for (text, word) in [
            ("select 1", Some("select")),
            (" -- commit\n /* a */ ((SELECT 1))", Some("select")),
            (";; Commit", Some("commit")),
            ("'select'", None),
            ("\"select\"", None),
            ("/* select", None),
            ("", None),
        ] {
            assert_eq!(first_word(text).as_deref(), word, "{text}");
        }
    }

    #[test]
    fn passwords_are_redacted() {
        for (text, shown) in [
            ("CREATE USER a PASSWORD 'hunter2'", "CREATE USER a PASSWORD '***'"),
            (
                "alter role a encrypted password E'hun\\'ter' valid until 'x'",
                "alter role a encrypted password '***' valid until 'x'",
            ),
            (
                "select 1 where password = $$hunter2$$ and a = 'b'",
                "select 1 where password = '***' and a = 'b'",
            ),
            ("alter role a password 'hunter2", "alter role a password '***'"),
            ("alter role a password null -- é", "alter role a password null -- é"),
            ("select 'password', 'x'", "select 'password', 'x'"),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
    }

    proptest! {
        #[test]
        fn texts_without_passwords_are_unchanged(text in "\\PC{0,40}") {
            prop_assume!(!text.to_lowercase().contains("password"));
            prop_assert_eq!(without_passwords(&text), text);
        }
    }
}
