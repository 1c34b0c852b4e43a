//! The command line as users and scripts see it: the real program, its streams, and its exit codes.

mod api;
mod backups;
mod clones;
mod cluster;
mod demo;
mod doctor;
mod errors;
mod login;
mod nouns;
mod tails;
mod terminal;

use crate::support::PROGRAM;
use ootheca_testkit::{Folder, Ootheca, ServerBuilder};
use serde_json::Value;
use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Output {
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
    /// Exit code.
    pub(crate) code: i32,
}

impl Output {
    /// Asserts success, and returns standard output.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        &self.out
    }

    /// Asserts success, and returns standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.ok()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts failure with this exit code and without output, and returns standard error.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.out, "", "a failure prints no data");
        &self.err
    }
}

/// Runs the command line with a home directory and variables of its own.
pub(crate) struct Cli {
    home: Folder,
    variables: Vec<(String, String)>,
}

impl Cli {
    /// Without a server.
    pub(crate) fn new() -> Self {
        Self { home: Folder::new(), variables: Vec::new() }
    }

    /// On the machine of a server.
    pub(crate) fn beside(server: &Ootheca) -> Self {
        Self::new().with("OOTHECA_DATA_DIR", &server.data_dir().to_string_lossy())
    }

    /// Sets an environment variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The home directory.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The program with arguments.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = ServerBuilder::new(PROGRAM).program();
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
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.run_with("", words)
    }

    /// Runs the program with this standard input.
    #[track_caller]
    pub(crate) fn run_with(&self, input: &str, words: &[&str]) -> Output {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        // The program might exit without reading its input.
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("a child process");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        let code = output.status.code().expect("it exited");
        Output { out: text(output.stdout), err: text(output.stderr), code }
    }
}
