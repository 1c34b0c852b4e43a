//! `ootheca demo`: it works, and leaves nothing however it ends.

use super::Person;
use ootheca_testkit::{eventually, eventually_within, processes};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A server is made from nothing, on a machine that may be busy.
const SLOW: Duration = Duration::from_secs(120);

/// Somebody whose temporary files are all in their home folder.
pub(super) fn person() -> Person {
    let person = Person::new();
    let folder = person.home().display().to_string();
    person.with("TMPDIR", &folder)
}

/// Waits until there is no process and no folder of a demo.
#[track_caller]
pub(super) fn leaves_nothing(person: &Person) {
    eventually_within(SLOW, "the demo leaves nothing", || {
        let folders = fs::read_dir(person.home()).expect("a home folder").flatten();
        let left = folders.filter(|entry| entry.file_name().to_string_lossy().starts_with("ootheca-demo-"));
        (left.count() == 0 && processes::within(person.home()).is_empty()).then_some(())
    });
}

/// A demo that runs a statement which never ends.
struct Endless {
    person: Person,
    process: Child,
}

impl Endless {
    fn start(wrap: impl FnOnce(Command) -> Command) -> Self {
        let person = person();
        let command = person.command(&["demo", "--", "-c", "select pg_sleep(10000)"]);
        let mut command = wrap(command);
        command.current_dir(person.home()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("the program starts");
        Self { person, process }
    }

    fn until_it_sleeps(&self) -> u32 {
        let psql = eventually_within(SLOW, "psql runs", || {
            let all = processes::within(self.person.home());
            all.into_iter().find(|process| process.command.contains("--dbname"))
        });
        eventually("the statement runs", || {
            let all = processes::within(self.person.home());
            all.iter()
                .any(|process| process.command.contains("SELECT") && process.command.contains("postgres: "))
                .then_some(())
        });
        psql.pid
    }

    fn code(&mut self) -> Option<i32> {
        eventually_within(SLOW, "it ends", || self.process.try_wait().expect("a child of ours")).code()
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_demo_runs_a_statement_and_is_gone() {
    let person = person();
    let ran = person.run(&["demo", "--", "-Atc", "select 40 + 2"]);
    assert_eq!(ran.ok(), "42\n");
    assert!(ran.err.contains("creating a SQL user"), "{ran:?}");
    let left: Vec<_> = fs::read_dir(person.home()).expect("a home folder").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(processes::within(person.home()).is_empty());
}

#[test]
fn an_error_in_sql_is_the_exit_code_of_psql() {
    let person = person().with("OOTHECA_STORE", "postgres://nowhere.invalid/x");
    let ran = person.run(&["demo", "--", "-v", "ON_ERROR_STOP=1", "-c", "select 1/0"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("division by zero"), "{ran:?}");
    leaves_nothing(&person);
}

#[test]
fn an_interrupted_demo_leaves_nothing() {
    let mut demo = Endless::start(|command| command);
    demo.until_it_sleeps();
    processes::interrupt(demo.process.id());
    assert_eq!(demo.code(), Some(130));
    leaves_nothing(&demo.person);
}

#[test]
fn a_killed_demo_leaves_nothing() {
    let mut demo = Endless::start(|command| command);
    let psql = demo.until_it_sleeps();
    processes::kill(demo.process.id());
    assert_eq!(demo.code(), None);
    leaves_nothing(&demo.person);
    assert!(!processes::alive(psql));
}

#[test]
fn a_demo_ends_with_whoever_started_it() {
    let mut demo = Endless::start(|command| {
        let mut shell = Command::new("sh");
        // Two commands, so that the shell stays.
        shell.args(["-c", "\"$0\" \"$@\"; true"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
    });
    demo.until_it_sleeps();
    let pid = i32::try_from(demo.process.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::KILL).expect("a child of ours");
    demo.code();
    leaves_nothing(&demo.person);
}
