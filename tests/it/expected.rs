//! Texts in `expected/`, for review. `UPDATE_EXPECTED=1` writes them.

use crate::support::PROGRAM;
use ootheca_testkit::ServerBuilder;
use std::{fmt::Write, fs, path::Path};

/// `ootheca api` has a command for every operation; `expected/operations.txt` lists these.
const UNLISTED: &str = "api";

#[test]
fn expected_command_line() {
    let mut text = String::new();
    describe(&[], &mut text);
    compare("cli.txt", text.trim_end());
}

/// Writes the help of a command and of its subcommands.
fn describe(words: &[&str], text: &mut String) {
    let output = ServerBuilder::new(PROGRAM).program().args(words).arg("--help").output();
    let output = output.expect("the program starts");
    assert!(output.status.success(), "{words:?} --help");
    let help = String::from_utf8_lossy(&output.stdout);
    // The flags of a noun are also listed with its verbs.
    let shown = match help.split_once("Global options:") {
        Some((own, _)) if words.len() > 1 => own,
        _ => &help,
    };
    let words_and_help: Vec<&str> = words.iter().copied().chain(["--help"]).collect();
    let _ = writeln!(text, "$ ootheca {}", words_and_help.join(" "));
    for line in shown.trim_end().lines() {
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push('\n');
    if words == [UNLISTED] {
        return;
    }
    let below = help.split_once("\nCommands:\n").map(|(_, below)| below).unwrap_or_default();
    let below = below.lines().take_while(|line| !line.is_empty());
    // Descriptions that do not fit on the line continue on an indented line.
    let names = below.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        describe(&[words, &[name]].concat(), text);
    }
}

fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../expected").join(name);
    let found = format!("{found}\n");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, &found).expect("the expected text is written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "expected/{name} differs; update it with UPDATE_EXPECTED=1");
}
