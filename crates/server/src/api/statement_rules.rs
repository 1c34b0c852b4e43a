//! Rules for statements that can be checked without a server. Pure.
//!
//! They give clear errors and do not confine a statement. That is done by the transaction in the server, and
//! by the privileges of the role that runs the statement.

use ootheca_gateway::{AdmissionState, first_word, may_add_data, without_passwords};
use ootheca_model::{Error, Result};
use serde_json::json;

/// The maximum length of a statement in bytes.
pub(crate) const LONGEST: usize = 48 * 1024;
/// The maximum length of its JSON text in the audit log, in bytes.
const LONGEST_KEPT: usize = 6 * 1024;

/// First words of statements that would end the transaction or start another one.
const TRANSACTION: &[&str] =
    &["abort", "begin", "commit", "end", "prepare", "release", "rollback", "savepoint", "start"];
/// First words of statements that only have an effect in a longer session.
const SESSION: &[&str] = &[
    "close",
    "deallocate",
    "declare",
    "discard",
    "execute",
    "fetch",
    "listen",
    "load",
    "move",
    "reset",
    "set",
    "unlisten",
];

/// Refuses statements that have no effect here.
pub(crate) fn check(text: &str) -> Result<()> {
    let refused = |rule: &str| Err(Error::invalid("statement", rule));
    if text.trim().is_empty() {
        return refused("is required");
    }
    if text.len() > LONGEST {
        return Err(Error::invalid("statement", format!("must have at most {LONGEST} bytes")));
    }
    if text.contains('\0') {
        return refused("must not contain a zero byte");
    }
    let Some(word) = first_word(text) else { return Ok(()) };
    let shown = word.to_uppercase();
    if TRANSACTION.contains(&word.as_str()) {
        let rule = format!("{shown} is not supported: every statement runs in a separate transaction");
        return Err(Error::invalid("statement", rule));
    }
    if SESSION.contains(&word.as_str()) {
        let rule = format!("{shown} is not supported: every statement runs in a separate session");
        return Err(Error::invalid("statement", rule));
    }
    if word == "copy" {
        return refused("COPY is not supported in the SQL shell; use a SQL client");
    }
    Ok(())
}

/// Refuses the same statements as the gateway does for a cluster in this state, with the same messages.
pub(crate) fn admit(state: &AdmissionState, text: &str, write: bool) -> Result<()> {
    match state {
        AdmissionState::Disabled(notice) => {
            Err(Error::precondition(format!("{}. {}", notice.message, notice.hint)))
        }
        AdmissionState::Throttled(notice) if write && may_add_data(text) => {
            Err(Error::precondition(format!("{}. {}", notice.message, notice.hint)))
        }
        _ => Ok(()),
    }
}

/// The text for the audit log, without passwords, and truncated if it is long.
pub(crate) fn kept(text: &str) -> String {
    let text = without_passwords(text.split('\0').next().unwrap_or_default());
    let mut end = text.len().min(LONGEST_KEPT);
    loop {
        end = (0..=end).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        if json!(text[..end]).to_string().len() <= LONGEST_KEPT || end == 0 {
            break;
        }
        end -= end.div_ceil(4);
    }
    if end == text.len() { text } else { format!("{}… ({} bytes in all)", &text[..end], text.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ootheca_gateway::Notice;
    use proptest::prelude::*;

    #[test]
    fn statements_without_effect_are_refused() {
        for text in [
            "COMMIT",
            ";; commit",
            "/* a */ rollback",
            "BEGIN; SELECT 1",
            "prepare transaction 'a'",
            "SET ROLE none",
            "reset all",
            "DISCARD ALL",
            "listen a",
            "COPY t TO STDOUT",
            "load 'x'",
            " \n",
            "select '\0'",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        for text in
            ["select 1", "(select 1)", "with a as (select 1) table a", "selec", "'a'", "update t set a = 1"]
        {
            assert!(check(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn limits_match_those_of_the_gateway() {
        let notice = || Notice { message: "over".into(), hint: "Delete.".into() };
        let refused = |state: &AdmissionState, text: &str, write| {
            admit(state, text, write).err().map(|error| error.message().to_owned())
        };
        let over = AdmissionState::Throttled(notice());
        assert_eq!(refused(&over, "insert into t values (1)", true).as_deref(), Some("over. Delete."));
        assert_eq!(refused(&over, "delete from t", true), None);
        assert_eq!(refused(&over, "select 1", false), None);
        let off = AdmissionState::Disabled(notice());
        assert!(refused(&off, "select 1", false).is_some());
        assert_eq!(refused(&AdmissionState::Open, "insert into t values (1)", true), None);
    }

    proptest! {
        #[test]
        fn logged_statements_are_truncated(text in "[a-zé\"\u{1}]{0,9000}") {
            let kept = kept(&text);
            prop_assert!(json!(kept).to_string().len() <= LONGEST_KEPT + 40);
            prop_assert!(kept == text || kept.contains("bytes in all"));
        }
    }
}
