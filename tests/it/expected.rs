//! Text under `expected/` that a reviewer reads. `UPDATE_EXPECTED=1` writes it anew.

use crate::support::PROGRAM;
use ootheca_testkit::Launch;
use std::{fmt::Write, fs, path::Path};

#[test]
fn expected_command_line() {
    let mut text = String::new();
    for verb in ["", "serve", "gateway", "debug", "audit verify", "settings", "openapi"] {
        let mut command = Launch::new(PROGRAM).program();
        let words: Vec<&str> = verb.split_whitespace().chain(["--help"]).collect();
        let output = command.args(&words).output().expect("the program starts");
        assert!(output.status.success(), "{verb} --help");
        let help = String::from_utf8_lossy(&output.stdout);
        let _ = writeln!(text, "$ ootheca {}", words.join(" "));
        for line in help.trim_end().lines() {
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text.push('\n');
    }
    compare("cli.txt", text.trim_end());
}

fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../expected").join(name);
    let found = format!("{found}\n");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, &found).expect("the expected text is written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "expected/{name} differs; UPDATE_EXPECTED=1 writes it anew");
}
