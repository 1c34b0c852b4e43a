//! Whether a statement adds data.
//!
//! Told from its words alone: what a name stands for is not known here. So these slip through:
//!
//! - functions, triggers and rules that write, also when a SELECT or a DELETE runs them, and the
//!   functions of large objects and sequences;
//! - what was prepared before the limit was crossed;
//! - sessions that set `standard_conforming_strings` to off, or an encoding in which a backslash may be
//!   a part of another character (SJIS, BIG5, GBK and their like): words and strings may be mixed up.
//!
//! What is not known is refused. VACUUM FULL, CLUSTER and REINDEX pass although they need room for a
//! while: they are how space is won back.

use super::lexer::{Token, Tokens};

/// First words of statements that add nothing.
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

/// First words of what may stand in parentheses.
const QUERIES: &[&str] = &["select", "table", "values", "with"];

/// First words of the actions of ALTER TABLE that add nothing and write no table anew.
const HARMLESS_ACTIONS: &[&str] =
    &["detach", "disable", "drop", "enable", "no", "owner", "rename", "reset", "validate"];

/// What ALTER may change freely: it is small.
const SMALL: &[&str] = &["database", "default", "group", "role", "schema", "sequence", "user"];

/// Whether any statement of a text adds data, or may.
pub(crate) fn adds_data(text: &[u8]) -> bool {
    let mut statement = Vec::new();
    for token in Tokens::of(text) {
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
    if statement.contains(&Token::Unfinished) {
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
        // These two carry another statement.
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
        // This empties it.
        let end = rest.len().saturating_sub(3);
        !rest[end..].iter().zip(["with", "no", "data"]).all(|(token, word)| token.is(word))
    } else {
        // Of those that begin with PREPARE, only PREPARE TRANSACTION comes here.
        !first.is("prepare")
    }
}

/// The statement that EXPLAIN runs; `None` if it only plans.
fn explained<'a, 'b>(rest: &'a [Token<'b>]) -> Option<&'a [Token<'b>]> {
    let begins = |token: &Token<'_>| *token == Token::Symbol(b'(') || token.any(QUERIES);
    if rest.first() == Some(&Token::Symbol(b'(')) && !rest.get(1).is_some_and(begins) {
        let end = position_of(rest, 1, |token| *token == Token::Symbol(b')'))?;
        // In quotes an option is the same option, whatever it takes to write it there.
        let runs =
            rest[..end].iter().any(|token| token.any(&["analyze", "analyse"]) || *token == Token::Name);
        return runs.then(|| &rest[end + 1..]);
    }
    rest.first()?.any(&["analyze", "analyse"]).then(|| {
        let verbose = rest.get(1).is_some_and(|token| token.is("verbose"));
        &rest[1 + usize::from(verbose)..]
    })
}

/// Where one of the words stands outside of parentheses.
fn position(tokens: &[Token<'_>], words: &[&str]) -> Option<usize> {
    position_of(tokens, 0, |token| token.any(words))
}

/// The first token that fits, as deep in parentheses as told; a closing one counts as inside. Any word
/// may be a name after a dot.
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

/// Whether there is an INSERT, MERGE or UPDATE among the tokens, or a SELECT INTO.
///
/// The first two always say INTO. An UPDATE is told from FOR UPDATE, and from a name, by its SET: only
/// `table [[AS] alias]` stands between.
fn writes(tokens: &[Token<'_>]) -> bool {
    let (mut before, mut before_is_label) = (Token::Value, false);
    let mut update = None;
    for (at, token) in tokens.iter().enumerate() {
        // Any word may be a name after a dot or after AS.
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

/// What follows `[IF EXISTS] [ONLY] name [*]`.
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
