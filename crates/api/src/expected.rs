//! Text that a reviewer reads, compared with what the table gives.

use crate::{
    openapi,
    operations::{Operation, TABLE},
};
use ootheca_model::{Role, identity::Requirement};
use std::{fs, path::PathBuf};

/// Compares a file under `expected/` with `text`, or writes it with `UPDATE_EXPECTED=1`.
fn check(file: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../expected").join(file);
    if std::env::var_os("UPDATE_EXPECTED").is_some_and(|value| value == "1") {
        fs::write(&path, text).expect("expected/ can be written");
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if expected == text {
        return;
    }
    let line = expected.lines().zip(text.lines()).take_while(|(a, b)| a == b).count();
    panic!(
        "expected/{file} differs from what the table gives, first in line {}:\n  file:  {}\n  table: {}\n\
         If the change is meant, run UPDATE_EXPECTED=1 cargo test -p ootheca-api and review the difference.",
        line + 1,
        expected.lines().nth(line).unwrap_or("(end)"),
        text.lines().nth(line).unwrap_or("(end)"),
    );
}

fn sorted() -> Vec<&'static Operation> {
    let mut rows: Vec<_> = TABLE.iter().collect();
    rows.sort_by_key(|row| (row.path, row.method));
    rows
}

#[test]
fn operations() {
    let path = TABLE.iter().map(|row| row.path.len()).max().unwrap_or(0);
    let name = TABLE.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let lines = sorted().into_iter().map(|row| {
        let audit =
            row.audit.map_or_else(|| "not audited".to_owned(), |action| format!("audited as {action}"));
        let access = openapi::access(row);
        format!("{:<6} {:<path$} {:<name$} {access} {audit}\n", row.method, row.path, row.name)
    });
    check("operations.txt", &lines.collect::<String>());
}

/// For each role what it may do, as somebody reads it who hands roles out.
#[test]
fn roles() {
    let mut text = String::from("What each role may do, and the scopes at which it may be held\n");
    text.push_str("(O organization, F folder, C cluster).\n");
    let may = |text: &mut String, title: String, allowed: &dyn Fn(&Operation) -> bool| {
        text.push_str(&format!("\n{title}\n"));
        for row in sorted().into_iter().filter(|row| allowed(row)) {
            let later = if row.implemented { "" } else { "  (not built yet)" };
            text.push_str(&format!("  {:<36} {}{later}\n", row.name, row.summary));
        }
    };
    may(&mut text, "every member".to_owned(), &|row| row.requirement == Requirement::Member);
    may(&mut text, "whoever may grant something".to_owned(), &|row| row.requirement == Requirement::Grantor);
    for role in Role::ALL {
        may(
            &mut text,
            format!("{role} ({})", role.scopes()),
            &|row| matches!(row.requirement, Requirement::Roles(roles) if roles.contains(role)),
        );
    }
    check("roles.txt", &text);
}

#[test]
fn unimplemented() {
    let mut names: Vec<_> = TABLE.iter().filter(|row| !row.implemented).map(|row| row.name).collect();
    names.sort_unstable();
    // The list may only shrink: a name that is not in the file yet is refused even when it is rewritten.
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../expected/unimplemented.txt");
    if let Ok(before) = fs::read_to_string(path) {
        let grown: Vec<_> = names.iter().filter(|name| !before.lines().any(|line| line == **name)).collect();
        assert!(grown.is_empty(), "no longer implemented: {grown:?}; the list may only shrink");
    }
    check("unimplemented.txt", &names.iter().map(|name| format!("{name}\n")).collect::<String>());
}

#[test]
fn openapi_document() {
    let document = openapi::document("http://localhost:8080");
    check("openapi.json", &format!("{document:#}\n"));
}
