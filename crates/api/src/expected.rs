//! Texts in `expected/`, which are reviewed and compared with what the table generates.

use crate::{
    openapi,
    operations::{Operation, TABLE},
};
use ootheca_model::{Role, identity::Requirement};
use std::{fs, path::PathBuf};

/// Compares a file in `expected/` with `text`, or writes it if `UPDATE_EXPECTED=1` is set.
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

/// The official operations, or the extensions.
fn sorted(extensions: bool) -> Vec<&'static Operation> {
    let mut rows: Vec<_> = TABLE.iter().filter(|row| row.is_extension() == extensions).collect();
    rows.sort_by_key(|row| (row.path, row.method));
    rows
}

#[test]
fn operations() {
    for (file, extensions) in [("operations.txt", false), ("operations-ootheca.txt", true)] {
        let rows = sorted(extensions);
        let path = rows.iter().map(|row| row.path.len()).max().unwrap_or(0);
        let name = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        let lines = rows.into_iter().map(|row| {
            let audit =
                row.audit.map_or_else(|| "not audited".to_owned(), |action| format!("audited as {action}"));
            let access = openapi::access(row);
            format!("{:<6} {:<path$} {:<name$} {access} {audit}\n", row.method, row.path, row.name)
        });
        check(file, &lines.collect::<String>());
    }
}

/// Every operation, every role, and the scopes at which the role grants access to the operation.
#[test]
fn roles() {
    let mut head = String::from(
        "Who may do what: for each operation and role the scopes at which the role, held there, opens it\n\
         (O organization, F the folder or one above it, C the cluster; roles add up).\n\n",
    );
    for role in Role::ALL {
        head.push_str(&format!(
            "  {:<3}  {:<23} may be held at {}\n",
            code(*role),
            role.name(),
            role.scopes()
        ));
    }
    for (file, extensions) in [("roles.txt", false), ("roles-ootheca.txt", true)] {
        check(file, &format!("{head}\n{}", role_table(&sorted(extensions))));
    }
}

fn role_table(rows: &[&Operation]) -> String {
    let name = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let heads: String = Role::ALL.iter().map(|role| format!(" {:<3}", code(*role))).collect();
    let head = format!("{:<name$} {}", "operation", heads.trim_end());
    let mut text = format!("{head}\n{}\n", "-".repeat(head.len()));
    for row in rows {
        let cells: String = Role::ALL.iter().map(|role| format!(" {:<3}", row.opened_by(*role))).collect();
        let notes = match row.requirement {
            Requirement::Public => "  without authentication",
            Requirement::Grantor => "  each grant by itself, see may_grant",
            _ if !row.implemented => "  (not built yet)",
            _ => "",
        };
        text.push_str(format!("{:<name$} {cells}{notes}", row.name).trim_end());
        text.push('\n');
    }
    text
}

/// The heading of the column of a role, three letters.
fn code(role: Role) -> String {
    let words: Vec<&str> = role.name().split('_').collect();
    match words[..] {
        [one, two] => format!("{}{}", &one[..1], &two[..2]),
        [one, two, three] => format!("{}{}{}", &one[..1], &two[..1], &three[..1]),
        _ => role.name()[..3].to_owned(),
    }
}

#[test]
fn unimplemented() {
    let mut names: Vec<_> = TABLE.iter().filter(|row| !row.implemented).map(|row| row.name).collect();
    names.sort_unstable();
    // Entries are only ever removed: a name that is not in the file yet is refused even when the file is
    // rewritten.
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
