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

/// The text without passwords: `***` replaces every string that follows the word PASSWORD, with or without an
/// equals sign in between. If a string contains that word, the text may be SQL that creates SQL (`EXECUTE`,
/// `format`, a DO block), and `***` replaces all of its strings and numbers, because any of them can be the
/// password. Comments and quoted names with that word are replaced too.
pub fn without_passwords(text: &str) -> String {
    let (bytes, mut tokens) = (text.as_bytes(), Lexer::new(text.as_bytes()));
    let dynamic = strings_contain_password(bytes);
    let (mut out, mut done, mut secret) = (Vec::new(), 0, false);
    while let Some(token) = tokens.next() {
        let (start, end) = (tokens.start(), tokens.position());
        let (blank, content) = (&bytes[done..start], &bytes[start..end]);
        let replacement: Option<&[u8]> = match token {
            Token::Value | Token::Unterminated if secret || dynamic => Some(b"'***'"),
            Token::Unterminated if contains_password(content) => Some(b"'***'"),
            Token::Name if content.contains(&b'\'') && contains_password(content) => Some(b"\"***\""),
            _ => None,
        };
        let hidden = (secret && replacement.is_some()) || contains_password(blank);
        out.extend_from_slice(if hidden { b" " } else { blank });
        out.extend_from_slice(replacement.unwrap_or(content));
        secret = token.is("password")
            || (secret && matches!(token, Token::Symbol(b'=' | b':' | b'>') | Token::Value));
        done = end;
    }
    let rest = &bytes[done..];
    out.extend_from_slice(if contains_password(rest) { b"" } else { rest });
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether the strings of a text contain the word PASSWORD, also if it is spread over several of them. Escape
/// sequences that can stand for letters count as the word.
fn strings_contain_password(text: &[u8]) -> bool {
    let mut tokens = Lexer::new(text);
    let mut strings = Vec::new();
    while let Some(token) = tokens.next() {
        let content = &text[tokens.start()..tokens.position()];
        if !matches!(token, Token::Value | Token::Unterminated) {
            continue;
        }
        if has_escaped_letters(content) {
            return true;
        }
        strings.extend_from_slice(inside(content));
    }
    contains_password(&strings)
}

/// A string without its quotes, prefix, and tags, as far as they contain letters.
fn inside(string: &[u8]) -> &[u8] {
    let Some(quote) = string.iter().position(|byte| matches!(byte, b'\'' | b'$')) else { return string };
    let content = &string[quote..];
    let tag = content[1..].iter().position(|byte| *byte == b'$').filter(|_| content[0] == b'$');
    let Some(tag) = tag else { return content };
    let (tag, content) = content.split_at(tag + 2);
    content.strip_suffix(tag).unwrap_or(content)
}

/// Whether the letters of a text, without the characters between them, contain the word PASSWORD.
fn contains_password(text: &[u8]) -> bool {
    const WORD: &[u8] = b"password";
    let letters: Vec<u8> =
        text.iter().filter(|byte| byte.is_ascii_alphabetic()).map(u8::to_ascii_lowercase).collect();
    letters.windows(WORD.len()).any(|part| part == WORD)
}

/// Whether a string that allows escapes contains one for a character by its number, such as `\x41`.
fn has_escaped_letters(string: &[u8]) -> bool {
    let unicode = matches!(string, [b'u' | b'U', b'&', ..]);
    let escape = matches!(string, [b'e' | b'E', b'\'', ..]);
    if !unicode && !escape {
        return false;
    }
    let mut bytes = string.iter();
    while let Some(byte) = bytes.next() {
        // UESCAPE can replace the backslash, so every Unicode string that contains a number counts.
        let numeric = match byte {
            byte if unicode => byte.is_ascii_digit(),
            b'\\' => bytes.next().is_some_and(|next| matches!(next, b'x' | b'u' | b'U' | b'0'..=b'7')),
            _ => false,
        };
        if numeric {
            return true;
        }
    }
    false
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
            ("select password, 'x'", "select password, 'x'"),
            ("select \"password\", 'x'", "select \"password\", 'x'"),
            ("alter role a password 'hun'\n'ter2'", "alter role a password '***' '***'"),
            ("call login(password => 'hunter2')", "call login(password => '***')"),
            ("alter role a password /* b */ 'hunter2' -- c", "alter role a password '***' -- c"),
            ("select 1 -- password 'hunter2'", "select 1"),
            ("select /* password 'hunter2' */ 1", "select 1"),
            ("execute \"alter user a password 'hunter2'\"", "execute \"***\""),
            ("EXECUTE 'ALTER USER a PASSWORD ''hunter2'''", "EXECUTE '***'"),
            (
                "select format('alter user %I password %L', 'a', 'hunter2')",
                "select format('***', '***', '***')",
            ),
            (
                "execute 'alter user a pass' || 'word ' || quote_literal('hunter2')",
                "execute '***' || '***' || quote_literal('***')",
            ),
            ("execute $a$alter user a pass$a$ || $b$word 'hunter2'$b$", "execute '***' || '***'"),
            (
                "execute E'alter user a \\x70assword' || quote_literal(12345678)",
                "execute '***' || quote_literal('***')",
            ),
            ("do $$ begin execute 'alter user a password ''hunter2'''; end $$", "do '***'"),
            ("do $$ begin alter user a password 'hunter2'; end $$ -- b", "do '***' -- b"),
            ("do $$ begin alter user a password 'hunter2'", "do '***'"),
            ("do $$ begin perform 1; end $$", "do $$ begin perform 1; end $$"),
            ("select E'a\\n\\\\x41', U&'b'", "select E'a\\n\\\\x41', U&'b'"),
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

        #[test]
        fn passwords_in_dynamic_sql_are_redacted(
            quotes in prop::collection::vec(0_u8..4, 0..4),
            form in 0_u8..6,
            word in "[pP][aA][sS][sS][wW][oO][rR][dD]",
            secret in "hunter[a-z0-9 ]{0,12}x",
            other in "[a-z ]{0,10}",
        ) {
            // Each level puts the statement so far into a string.
            let mut text = format!("alter user a {word} '{secret}' valid until '{other}'");
            for quote in &quotes {
                let quoted = match quote {
                    0 => format!("'{}'", text.replace('\'', "''")),
                    1 => format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
                    2 => format!("$a{}$ {text} $a{}$", text.len(), text.len()),
                    _ => format!("'{}' || '{}'", &text[..9].replace('\'', "''"), text[9..].replace('\'', "''")),
                };
                text = format!("execute {quoted}");
            }
            let text = match form {
                0 => text,
                1 => format!("do $do$ begin {text}; end $do$ language plpgsql"),
                2 => format!("select '{other}', format('alter user %I {word} %L', 'a', '{secret}')"),
                3 => format!("do $$ declare p text := '{secret}'; begin execute '{word}' || p; end $$"),
                4 => format!("select 1 /* {text} */"),
                _ => format!("select 1; {text} -- {word} '{secret}"),
            };
            let kept = without_passwords(&text);
            prop_assert!(!kept.contains(&secret), "{} left {}", text, kept);
            // Truncated texts, except those in which the password comes first.
            for end in (0..text.len()).filter(|end| form != 3 && text.is_char_boundary(*end)) {
                let kept = without_passwords(&text[..end]);
                prop_assert!(!kept.contains(&secret), "{} left {}", &text[..end], kept);
            }
        }
    }
}
