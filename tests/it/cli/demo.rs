//! `ootheca demo`, which leaves nothing behind, however it ends.

use super::Cli;
use ootheca_testkit::{eventually, eventually_within, processes};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Starting a server from scratch can take long on a busy machine.
const SLOW: Duration = Duration::from_secs(120);

/// A command line whose temporary files are all in its home directory.
pub(super) fn cli() -> Cli {
    let cli = Cli::new();
    let folder = cli.home().display().to_string();
    cli.with("TMPDIR", &folder)
}

/// Waits until no process and no directory of a demo is left.
#[track_caller]
pub(super) fn leaves_nothing(cli: &Cli) {
    eventually_within(SLOW, "the demo leaves nothing", || {
        let folders = fs::read_dir(cli.home()).expect("a home directory").flatten();
        let left = folders.filter(|entry| entry.file_name().to_string_lossy().starts_with("ootheca-demo-"));
        (left.count() == 0 && processes::within(cli.home()).is_empty()).then_some(())
    });
}

/// A demo that runs a statement that doesn't end.
struct Endless {
    cli: Cli,
    process: Child,
}

impl Endless {
    fn start(wrap: impl FnOnce(Command) -> Command) -> Self {
        let cli = cli();
        let command = cli.command(&["demo", "--", "-c", "select pg_sleep(10000)"]);
        let mut command = wrap(command);
        command.current_dir(cli.home()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("the program starts");
        Self { cli, process }
    }

    fn wait_for_statement(&self) -> u32 {
        let psql = eventually_within(SLOW, "psql runs", || {
            let all = processes::within(self.cli.home());
            all.into_iter().find(|process| process.command.contains("--dbname"))
        });
        eventually("the statement runs", || {
            let all = processes::within(self.cli.home());
            all.iter()
                .any(|process| process.command.contains("SELECT") && process.command.contains("postgres: "))
                .then_some(())
        });
        psql.pid
    }

    fn code(&mut self) -> Option<i32> {
        eventually_within(SLOW, "it ends", || self.process.try_wait().expect("a child process")).code()
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_demo_runs_a_statement_and_removes_everything() {
    let cli = cli();
    let ran = cli.run(&["demo", "--", "-Atc", "select 40 + 2"]);
    assert_eq!(ran.ok(), "42\n");
    assert!(ran.err.contains("creating a SQL user"), "{ran:?}");
    let left: Vec<_> = fs::read_dir(cli.home()).expect("a home directory").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(processes::within(cli.home()).is_empty());
}

#[test]
fn a_demo_exits_with_the_exit_code_of_psql() {
    let cli = cli().with("OOTHECA_STORE", "postgres://nowhere.invalid/x");
    let ran = cli.run(&["demo", "--", "-v", "ON_ERROR_STOP=1", "-c", "select 1/0"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("division by zero"), "{ran:?}");
    leaves_nothing(&cli);
}

#[test]
fn an_interrupted_demo_removes_everything() {
    let mut demo = Endless::start(|command| command);
    demo.wait_for_statement();
    processes::interrupt(demo.process.id());
    assert_eq!(demo.code(), Some(130));
    leaves_nothing(&demo.cli);
}

#[test]
fn a_killed_demo_removes_everything() {
    let mut demo = Endless::start(|command| command);
    let psql = demo.wait_for_statement();
    processes::kill(demo.process.id());
    assert_eq!(demo.code(), None);
    leaves_nothing(&demo.cli);
    assert!(!processes::alive(psql));
}

#[test]
fn a_demo_ends_with_its_parent_process() {
    let mut demo = Endless::start(|command| {
        let mut shell = Command::new("sh");
        // Two commands, so that the shell doesn't replace itself with the first.
        shell.args(["-c", "\"$0\" \"$@\"; true"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
    });
    demo.wait_for_statement();
    let pid = i32::try_from(demo.process.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::KILL).expect("a child process");
    demo.code();
    leaves_nothing(&demo.cli);
}
