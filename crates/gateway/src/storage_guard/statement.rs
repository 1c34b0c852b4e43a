//! Decides whether a statement adds data.
//!
//! The decision depends only on the words of the statement, not on the objects that they name. So some
//! statements that add data are not recognized:
//!
//! - functions, triggers, and rules that write, even if a SELECT or a DELETE runs them, and the functions
//!   for large objects and sequences;
//! - statements that were prepared before the limit was exceeded;
//! - statements in sessions that set `standard_conforming_strings` to off, or that use an encoding in which
//!   a backslash can be part of another character (such as SJIS, BIG5, and GBK): the lexer may confuse words
//!   and strings there.
//!
//! Unknown statements are refused. VACUUM FULL, CLUSTER, and REINDEX pass although they need additional
//! space for some time, because they reclaim space.

use super::lexer::{Lexer, Token};

/// The first words of statements that add no data.
const HARMLESS: &[&str] = &[
    "abort",
    "analyse",
    "analyze",
    "begin",
    "checkpoint",
    "close",
    "cluster",
    "commit",
    "deallocate",
    "declare",
    "delete",
    "discard",
    "drop",
    "end",
    "execute",
    "fetch",
    "grant",
    "listen",
    "lock",
    "move",
    "notify",
    "reassign",
    "reindex",
    "release",
    "reset",
    "revoke",
    "rollback",
    "savepoint",
    "select",
    "set",
    "show",
    "start",
    "table",
    "truncate",
    "unlisten",
    "vacuum",
    "values",
    "with",
];

/// The first words of queries, which may be in parentheses.
const QUERIES: &[&str] = &["select", "table", "values", "with"];

/// The first words of ALTER TABLE actions that add no data and do not rewrite the table.
const HARMLESS_ACTIONS: &[&str] =
    &["detach", "disable", "drop", "enable", "no", "owner", "rename", "reset", "validate"];

/// Objects that ALTER may change in any way, because they are small.
const SMALL: &[&str] = &["database", "default", "group", "role", "schema", "sequence", "user"];

/// Whether a text contains a statement that may add data.
pub(crate) fn adds_data(text: &[u8]) -> bool {
    let mut statement = Vec::new();
    for token in Lexer::new(text) {
        if token != Token::Symbol(b';') {
            statement.push(token);
        } else if statement_adds(&statement) {
            return true;
        } else {
            statement.clear();
        }
    }
    statement_adds(&statement)
}

fn statement_adds(mut statement: &[Token<'_>]) -> bool {
    if statement.contains(&Token::Unterminated) {
        return true;
    }
    loop {
        let open = statement.iter().take_while(|token| **token == Token::Symbol(b'(')).count();
        let Some((first, rest)) = statement[open..].split_first() else {
            return open > 0;
        };
        if open > 0 {
            return !first.any(QUERIES) || writes(rest);
        }
        // EXPLAIN and PREPARE contain another statement.
        if first.is("explain") {
            let Some(inner) = explained(rest) else { return false };
            statement = inner;
        } else if first.is("prepare") && !rest.first().is_some_and(|next| next.is("transaction")) {
            let Some(at) = position(rest, &["as"]) else { return true };
            statement = &rest[at + 1..];
        } else {
            return one_adds(first, rest);
        }
    }
}

fn one_adds(first: &Token<'_>, rest: &[Token<'_>]) -> bool {
    if first.any(HARMLESS) {
        writes(rest)
    } else if first.is("alter") {
        alter_adds(rest)
    } else if first.is("copy") {
        !position(rest, &["from", "to"]).is_some_and(|at| rest[at].is("to")) || writes(rest)
    } else if first.is("refresh") {
        // WITH NO DATA empties the view.
        let end = rest.len().saturating_sub(3);
        !rest[end..].iter().zip(["with", "no", "data"]).all(|(token, word)| token.is(word))
    } else {
        // Only PREPARE TRANSACTION remains of the statements that start with PREPARE.
        !first.is("prepare")
    }
}

/// The statement that EXPLAIN executes; `None` without ANALYZE.
fn explained<'a, 'b>(rest: &'a [Token<'b>]) -> Option<&'a [Token<'b>]> {
    let begins = |token: &Token<'_>| *token == Token::Symbol(b'(') || token.any(QUERIES);
    if rest.first() == Some(&Token::Symbol(b'(')) && !rest.get(1).is_some_and(begins) {
        let end = position_of(rest, 1, |token| *token == Token::Symbol(b')'))?;
        // An option may be quoted, with escapes too, so any quoted name counts as ANALYZE.
        let runs =
            rest[..end].iter().any(|token| token.any(&["analyze", "analyse"]) || *token == Token::Name);
        return runs.then(|| &rest[end + 1..]);
    }
    rest.first()?.any(&["analyze", "analyse"]).then(|| {
        let verbose = rest.get(1).is_some_and(|token| token.is("verbose"));
        &rest[1 + usize::from(verbose)..]
    })
}

/// The position of the first of the words outside of parentheses.
fn position(tokens: &[Token<'_>], words: &[&str]) -> Option<usize> {
    position_of(tokens, 0, |token| token.any(words))
}

/// The position of the first matching token at the wanted depth of parentheses; a closing parenthesis
/// counts as inside. After a dot, every word is a name.
fn position_of(tokens: &[Token<'_>], wanted: usize, fits: impl Fn(&Token<'_>) -> bool) -> Option<usize> {
    let (mut depth, mut before) = (0usize, Token::Value);
    for (at, token) in tokens.iter().enumerate() {
        if *token == Token::Symbol(b'(') {
            depth += 1;
        }
        if depth == wanted && before != Token::Symbol(b'.') && fits(token) {
            return Some(at);
        }
        if *token == Token::Symbol(b')') {
            depth = depth.saturating_sub(1);
        }
        before = *token;
    }
    None
}

/// Whether the tokens contain INSERT, MERGE, UPDATE, or SELECT INTO.
///
/// INSERT and MERGE always contain INTO. UPDATE differs from FOR UPDATE, and from a name, by its SET, with
/// only `table [[AS] alias]` in between.
fn writes(tokens: &[Token<'_>]) -> bool {
    let (mut before, mut before_is_label) = (Token::Value, false);
    let mut update = None;
    for (at, token) in tokens.iter().enumerate() {
        // After a dot or AS, every word is a name.
        let label = before == Token::Symbol(b'.') || before.is("as") && !before_is_label;
        let set = token.is("set") && update.is_some_and(|update| at > update + 1);
        if !label && (token.is("into") || set) {
            return true;
        }
        if token.is("update") && !label {
            update = update.or(Some(at));
        } else if !may_name_table(token) {
            update = None;
        }
        (before, before_is_label) = (*token, label);
    }
    false
}

fn may_name_table(token: &Token<'_>) -> bool {
    matches!(token, Token::Word(_) | Token::Name | Token::Value | Token::Symbol(b'.' | b'*' | b'(' | b')'))
}

fn alter_adds(rest: &[Token<'_>]) -> bool {
    let Some((kind, rest)) = rest.split_first() else {
        return true;
    };
    if kind.any(SMALL) {
        return false;
    }
    let (kind, rest) = match rest.split_first() {
        Some((second, rest)) if kind.any(&["foreign", "materialized"]) => (second, rest),
        _ => (kind, rest),
    };
    if !kind.any(&["table", "view", "index"]) {
        return true;
    }
    let Some(actions) = after_name(rest) else {
        return true;
    };
    let mut depth = 0usize;
    let parts = actions.split(|token| {
        match token {
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && *token == Token::Symbol(b',')
    });
    parts.into_iter().any(|action| !harmless_action(action))
}

/// The tokens after `[IF EXISTS] [ONLY] name [*]`.
fn after_name<'a, 'b>(mut rest: &'a [Token<'b>]) -> Option<&'a [Token<'b>]> {
    if let [first, second, after @ ..] = rest
        && first.is("if")
        && second.is("exists")
    {
        rest = after;
    }
    if let [first, after @ ..] = rest
        && first.is("only")
    {
        rest = after;
    }
    loop {
        let [Token::Word(_) | Token::Name, after @ ..] = rest else {
            return None;
        };
        match after {
            [Token::Symbol(b'.'), after @ ..] => rest = after,
            [Token::Symbol(b'*'), after @ ..] => return Some(after),
            _ => return Some(after),
        }
    }
}

fn harmless_action(action: &[Token<'_>]) -> bool {
    match action {
        [first, ..] if first.any(HARMLESS_ACTIONS) => true,
        [first, rest @ ..] if first.is("alter") => {
            let rest = match rest {
                [word, after @ ..] if word.is("column") => after,
                _ => rest,
            };
            matches!(rest, [_, change, ..] if change.any(&["drop", "reset"]))
        }
        _ => false,
    }
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
