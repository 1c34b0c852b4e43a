//! `audit list`, `audit tail`, and `events tail`.

use super::Cli;
use crate::support::simulated;
use ootheca_testkit::eventually;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Stdio},
};

/// A running `tail` command that prints JSON.
struct Tail {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Tail {
    fn open(cli: &Cli, words: &[&str]) -> Self {
        let mut command = cli.command(words);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Self { process, lines }
    }

    fn next(&mut self) -> Value {
        let line = self.lines.next().expect("the process continues").expect("a line");
        serde_json::from_str(&line).expect("JSON")
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn audit_list_lists_the_audit_log() {
    let server = simulated();
    let cli = Cli::beside(&server);
    for name in ["one", "two", "three"] {
        cli.run(&["folder", "create", name]).ok();
    }
    let newest = cli.run(&["audit", "list", "--limit", "1"]);
    assert!(newest.ok().contains("CREATE_FOLDER"), "{newest:?}");
    assert!(newest.err.contains("Next page: ootheca audit list --starting-from "), "{newest:?}");
    let ascending = cli.run(&["audit", "list", "--ascending", "--json"]).json();
    let times: Vec<&str> = ascending["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| entry["created_at"].as_str().expect("a time"))
        .collect();
    assert!(times.len() >= 3 && times.is_sorted(), "{times:?}");
    let third = cli.run(&["audit", "list", "--ascending", "--starting-from", times[2], "--json"]).json();
    assert_eq!(third["entries"][0], ascending["entries"][2]);
}

#[test]
fn tail_commands_print_everything_once_across_a_takeover() {
    let mut server = simulated();
    let cli = Cli::beside(&server);
    let mut audit = Tail::open(&cli, &["audit", "tail", "--json", "--starting-from", "2020-01-01T00:00:00Z"]);
    let mut events = Tail::open(&cli, &["events", "tail", "--json", "--after", "0"]);
    let mut wanted = Vec::new();
    for round in 0..6 {
        if round == 3 {
            server.take_over().ended();
        }
        let name = format!("folder-{round}");
        cli.run(&["folder", "create", &name]).ok();
        wanted.push(name);
    }
    let mut seen = Vec::new();
    while seen.len() < wanted.len() {
        let entry = audit.next();
        if entry["action"] == "AUDIT_LOG_ACTION_CREATE_FOLDER" {
            let payload = entry["payload"].as_str().expect("a payload").to_owned();
            seen.push(
                wanted.iter().find(|name| payload.contains(*name)).expect("an entry of this test").clone(),
            );
        }
    }
    assert_eq!(seen, wanted);
    let mut folders = Vec::new();
    while folders.len() < wanted.len() {
        let event = events.next();
        if event["kind"] == "folder" && event["what"] == "created" {
            folders.push(event["id"].as_str().expect("an id").to_owned());
        }
    }
    let listed = cli.run(&["folder", "list", "--json"]).json();
    let mut ids: Vec<&str> = listed["folders"]
        .as_array()
        .expect("folders")
        .iter()
        .map(|folder| folder["resource_id"].as_str().expect("an id"))
        .collect();
    ids.sort_unstable();
    folders.sort();
    assert_eq!(folders, ids);
}

#[test]
fn a_closed_pipe_ends_a_tail_quietly() {
    let server = simulated();
    let cli = Cli::beside(&server);
    let mut command = cli.command(&["events", "tail"]);
    let mut process =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut numbers = 0..;
    let mut create = || {
        drop(server.post("/folders", json!({ "name": format!("folder-{}", numbers.next().unwrap_or(0)) })))
    };
    // Some events can come before the stream starts.
    let reader = process.stdout.take().expect("a pipe");
    std::thread::scope(|scope| {
        let first = scope.spawn(move || BufReader::new(reader).lines().next());
        eventually("a line is printed", || {
            create();
            first.is_finished().then_some(())
        });
        first.join().expect("the thread ends").expect("a line").expect("a text");
    });
    let status = eventually("the command ends", || {
        create();
        process.try_wait().expect("a child process")
    });
    let output = process.wait_with_output().expect("the output");
    assert!(status.success() && output.stderr.is_empty(), "{status}: {output:?}");
}
