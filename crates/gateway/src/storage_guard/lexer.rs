//! Splits SQL text into tokens as PostgreSQL does, as far as needed to distinguish words from strings,
//! quoted names, and comments.

/// A token of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword or an unquoted name.
    Word(&'a [u8]),
    /// A quoted name.
    Name,
    /// A string, a number, or a parameter.
    Value,
    /// Any other character.
    Symbol(u8),
    /// An unterminated string, quoted name, or comment.
    Unterminated,
}

impl Token<'_> {
    /// Whether this is the given word, which is in lower case.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(text) if text.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Whether this is one of those words.
    pub(super) fn any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }
}

/// The tokens of a text.
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    start: usize,
}

impl<'a> Lexer<'a> {
    /// A lexer for a text, which ends at its first zero byte, as for the server.
    pub(super) fn new(text: &'a [u8]) -> Self {
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        Self { text: &text[..end], at: 0, start: 0 }
    }

    /// The position after the last token, in bytes.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The position of the last token, after whitespace and comments, in bytes.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    /// Takes all bytes of a kind.
    fn take(&mut self, kind: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let count = rest.iter().position(|byte| !kind(*byte)).unwrap_or(rest.len());
        self.at += count;
        &rest[..count]
    }

    fn terminated(&mut self, terminated: bool, token: Token<'a>) -> Token<'a> {
        if terminated {
            token
        } else {
            self.at = self.text.len();
            Token::Unterminated
        }
    }

    /// Skips whitespace and comments; false if a comment is unterminated.
    fn skip_blank(&mut self) -> bool {
        loop {
            self.take(is_blank);
            if self.rest().starts_with(b"--") {
                self.take(|byte| !matches!(byte, b'\n' | b'\r'));
            } else if self.rest().starts_with(b"/*") {
                if !self.skip_comment() {
                    return false;
                }
            } else {
                return true;
            }
        }
    }

    /// Comments nest.
    fn skip_comment(&mut self) -> bool {
        let mut depth = 0usize;
        while let [first, rest @ ..] = self.rest() {
            let change = match (first, rest.first()) {
                (b'/', Some(b'*')) => Some(depth + 1),
                (b'*', Some(b'/')) => Some(depth - 1),
                _ => None,
            };
            self.at += 1 + usize::from(change.is_some());
            depth = change.unwrap_or(depth);
            if depth == 0 {
                return true;
            }
        }
        false
    }

    /// Skips to the end of a quoted token; a doubled quote does not end it. False if it is unterminated.
    fn skip_quoted(&mut self, quote: u8, escapes: bool) -> bool {
        self.at += 1;
        while let [first, rest @ ..] = self.rest() {
            let doubled = *first == quote && rest.first() == Some(&quote);
            let escaped = escapes && *first == b'\\' && !rest.is_empty();
            self.at += 1 + usize::from(doubled || escaped);
            if *first == quote && !doubled {
                return true;
            }
        }
        false
    }

    /// Skips an escape string. A string on the next line continues it, with escapes.
    fn skip_escape_string(&mut self) -> bool {
        loop {
            if !self.skip_quoted(b'\'', true) {
                return false;
            }
            let end = self.at;
            let mut line_ended = false;
            loop {
                line_ended |= self.take(is_blank).iter().any(|byte| matches!(byte, b'\n' | b'\r'));
                if !self.rest().starts_with(b"--") {
                    break;
                }
                self.take(|byte| !matches!(byte, b'\n' | b'\r'));
            }
            if !line_ended || !self.rest().starts_with(b"'") {
                self.at = end;
                return true;
            }
        }
    }

    /// Skips `$tag$ … $tag$`; `None` if no such string starts here.
    fn skip_dollar_quoted(&mut self) -> Option<bool> {
        let rest = self.rest();
        let tag = rest[1..].iter().position(|byte| !(is_word(*byte) && *byte != b'$'))?;
        if rest[1..].get(tag) != Some(&b'$') || rest[1].is_ascii_digit() {
            return None;
        }
        let (delimiter, body) = rest.split_at(tag + 2);
        let end = find(body, delimiter);
        self.at += delimiter.len() + end.map_or(body.len(), |end| end + delimiter.len());
        Some(end.is_some())
    }

    fn word(&mut self) -> Token<'a> {
        let word = self.take(is_word);
        match (word, self.rest()) {
            ([b'e' | b'E'], [b'\'', ..]) => {
                let terminated = self.skip_escape_string();
                self.terminated(terminated, Token::Value)
            }
            ([b'u' | b'U'], [b'&', quote @ (b'\'' | b'"'), ..]) => {
                self.at += 1;
                self.quoted(*quote)
            }
            _ => Token::Word(word),
        }
    }

    fn quoted(&mut self, quote: u8) -> Token<'a> {
        let terminated = self.skip_quoted(quote, false);
        self.terminated(terminated, if quote == b'"' { Token::Name } else { Token::Value })
    }

    fn dollar(&mut self) -> Token<'a> {
        if let Some(terminated) = self.skip_dollar_quoted() {
            return self.terminated(terminated, Token::Value);
        }
        self.at += 1;
        match self.take(|byte| byte.is_ascii_digit()) {
            [] => Token::Symbol(b'$'),
            _ => Token::Value,
        }
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.start = self.at;
        if !self.skip_blank() {
            return Some(self.terminated(false, Token::Unterminated));
        }
        self.start = self.at;
        let rest = self.rest();
        Some(match *rest.first()? {
            quote @ (b'\'' | b'"') => self.quoted(quote),
            b'$' => self.dollar(),
            first if is_word_start(first) => self.word(),
            first
                if first.is_ascii_digit() || first == b'.' && rest.get(1).is_some_and(u8::is_ascii_digit) =>
            {
                self.take(|byte| byte.is_ascii_digit() || byte == b'.');
                Token::Value
            }
            first => {
                self.at += 1;
                Token::Symbol(first)
            }
        })
    }
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn is_word(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// The position of `$tag$`. Compares only at dollar signs, so the time is linear in the length of the text.
fn find(text: &[u8], delimiter: &[u8]) -> Option<usize> {
    let mut dollars = text.iter().enumerate().filter(|(_, byte)| **byte == b'$');
    dollars.find(|(at, _)| text[*at..].starts_with(delimiter)).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> String {
        let shown = Lexer::new(text.as_bytes()).map(|token| match token {
            Token::Word(word) => String::from_utf8_lossy(word).into_owned(),
            Token::Name => "\"".into(),
            Token::Value => "'".into(),
            Token::Symbol(symbol) => char::from(symbol).to_string(),
            Token::Unterminated => "?".into(),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn tokens_match_those_of_postgresql() {
        for (text, expected) in [
            ("select a$1, _b, é from x.y", "select a$1 , _b , é from x . y"),
            ("a -- b\nc -- d", "a c"),
            ("a /* b /* c */ d */ e */ f", "a e * / f"),
            ("a /*/ b */ c /**/ d", "a c d"),
            ("a /* b", "a ?"),
            ("'a''b' c", "' c"),
            ("'a\\' b", "' b"),
            ("E'a\\'b' c", "' c"),
            ("e'a''\\\\' c", "' c"),
            ("E'a'\n 'b\\'c' d", "' d"),
            ("E'a' -- x\n 'b\\'c' d", "' d"),
            ("E'a' 'b\\' c", "' ' c"),
            ("fe'a\\' b", "fe ' b"),
            ("'a\nb", "?"),
            ("\"a\"\"b\" c", "\" c"),
            ("U&\"a\" U&'b' u & v", "\" ' u & v"),
            ("$$a$b$$ c", "' c"),
            ("$x$a$$b$y$c$x$ d", "' d"),
            ("$x$ a", "?"),
            ("$1 a $2$$b$$ $ c", "' a ' ' $ c"),
            ("a$$b$$", "a$$b$$"),
            ("1.5e3 .5 1.into t.into", "' e3 ' ' into t . into"),
            ("a\0 b", "a"),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_text_has_an_end(text in "[-ae'\"$/* \n\\\\0;]{0,40}") {
            prop_assert!(Lexer::new(text.as_bytes()).count() <= text.len());
        }

        #[test]
        fn strings_hide_words(text in "[^\0]{0,20}") {
            let quoted = text.replace('\'', "''");
            prop_assert_eq!(words(&format!("a '{quoted}' b")), "a ' b");
            let escaped = text.replace('\\', "\\\\").replace('\'', "\\'");
            prop_assert_eq!(words(&format!("a E'{escaped}' b")), "a ' b");
        }
    }
}
