//! The command line as people and scripts use it: the real program, its streams and its exit codes.

mod api;
mod cluster;
mod demo;
mod doctor;
mod errors;
mod login;
mod nouns;
mod tails;
mod terminal;

use crate::support::PROGRAM;
use ootheca_testkit::{Folder, Launch, Ootheca};
use serde_json::Value;
use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// What a command printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
    /// Exit code.
    pub(crate) code: i32,
}

impl Ran {
    /// Standard output of a success.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        &self.out
    }

    /// Standard output of a success, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.ok()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Standard error of a failure with this code; nothing is printed then.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.out, "", "a failure prints no data");
        &self.err
    }
}

/// Somebody at a machine, with a home folder of their own.
pub(crate) struct Person {
    home: Folder,
    variables: Vec<(String, String)>,
}

impl Person {
    /// Somebody who knows no server.
    pub(crate) fn new() -> Self {
        Self { home: Folder::new(), variables: Vec::new() }
    }

    /// Somebody on the machine of a server.
    pub(crate) fn beside(server: &Ootheca) -> Self {
        Self::new().with("OOTHECA_DATA_DIR", &server.data_dir().to_string_lossy())
    }

    /// The same with a variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The home folder.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The program with some words, ready to be started.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Launch::new(PROGRAM).program();
        for (name, _) in std::env::vars() {
            if ["COCKROACH_", "PG", "XDG_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.args(words).env("HOME", self.home()).envs(self.variables.iter().cloned());
        command
    }

    /// Runs the program.
    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        self.run_with("", words)
    }

    /// The same, with something on standard input.
    #[track_caller]
    pub(crate) fn run_with(&self, input: &str, words: &[&str]) -> Ran {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        // Who reads nothing has closed the pipe.
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("a child of ours");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        let code = output.status.code().expect("it ended by itself");
        Ran { out: text(output.stdout), err: text(output.stderr), code }
    }
}
