//! Types that quote text. Only these insert text into statements.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use std::fmt;

/// An identifier, quoted when it is displayed.
pub(super) struct Identifier<'a>(pub(super) &'a str);

impl fmt::Display for Identifier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape_identifier(self.0))
    }
}

/// A string constant, quoted when it is displayed.
pub(super) struct Literal<'a>(pub(super) &'a str);

impl fmt::Display for Literal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(escape_literal(self.0).trim_start())
    }
}

#[cfg(test)]
mod tests {
    use super::{Identifier, Literal};

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(Identifier(r#"a"b'c"#).to_string(), r#""a""b'c""#);
        assert_eq!(Literal("it's").to_string(), "'it''s'");
        assert_eq!(Literal(r"a\'b").to_string(), r"E'a\\''b'");
    }
}
