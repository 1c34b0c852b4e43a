//! Starts a program in a sandbox.
//!
//! A process can only restrict itself, and safe Rust runs no code between the creation of a process and the
//! start of its program. So `ootheca` starts itself again under the name [`NAME`]. That process enters the
//! sandbox and then executes the program in its place, with the same process ID.

mod files;
mod system_calls;

use serde::{Deserialize, Serialize};
use std::{
    ffi::OsString,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::atomic::{AtomicBool, Ordering},
};

/// The name, `argv[0]`, under which a program is the launcher.
pub const NAME: &str = "ootheca-launcher";
/// The running program, even if its file was replaced, and if a directory above it can't be entered.
const THIS_PROGRAM: &str = "/proc/self/exe";

const ALLOW_CONNECT: &str = "--allow-connect";
const ALLOW_NETWORK: &str = "--allow-network";
const REPORT: &str = "--report";
const PROGRAM: &str = "--program";

/// Whether this program is also a launcher.
static IS_LAUNCHER: AtomicBool = AtomicBool::new(false);

/// Executes the program that the command line names, in a sandbox, if this process was started as the launcher.
/// Only returns an exit code if that failed. Must be the first call of `main`.
pub fn run() -> Option<ExitCode> {
    let mut words = std::env::args_os();
    if words.next().is_none_or(|name| name != NAME) {
        IS_LAUNCHER.store(true, Ordering::Relaxed);
        return None;
    }
    let error = match Request::parse(words) {
        Ok(request) => request.execute(),
        Err(error) => error,
    };
    let _ = writeln!(io::stderr(), "{NAME}: {error}");
    Some(ExitCode::FAILURE)
}

/// The launcher to start, if this program called [`run`].
pub fn this_program() -> Option<PathBuf> {
    IS_LAUNCHER.load(Ordering::Relaxed).then(|| PathBuf::from(THIS_PROGRAM))
}

/// How the files below a path can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Execute,
    Read,
    /// Existing files can be read and written.
    Update,
    /// Files and directories can be created and removed as well. Links and devices can't be created.
    Data,
    /// Sockets can be created.
    Sockets,
    /// The program can connect to Unix sockets. Without `Sandbox::connect`, it can't create a connection at all.
    Connect,
}

impl Access {
    const ALL: [Self; 6] =
        [Self::Execute, Self::Read, Self::Update, Self::Data, Self::Sockets, Self::Connect];

    fn flag(self) -> &'static str {
        match self {
            Self::Execute => "--execute",
            Self::Read => "--read",
            Self::Update => "--update",
            Self::Data => "--data",
            Self::Sockets => "--sockets",
            Self::Connect => "--connect",
        }
    }
}

/// What a program can reach. Everything else is denied as far as the kernel supports it. Paths that don't exist
/// are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sandbox {
    pub(crate) files: Vec<(Access, PathBuf)>,
    /// Whether Unix sockets can connect: since version 9 of Landlock only to those below the paths with
    /// [`Access::Connect`], before to all that the user can open.
    pub(crate) connect: bool,
    /// Whether sockets other than Unix sockets can be used, and connect.
    pub(crate) network: bool,
}

impl Sandbox {
    /// The arguments of the launcher. The arguments of the program itself follow.
    pub(crate) fn arguments(&self, program: &Path) -> Vec<OsString> {
        let mut words: Vec<OsString> =
            self.files.iter().flat_map(|(access, path)| [access.flag().into(), path.into()]).collect();
        for (allowed, flag) in [(self.connect, ALLOW_CONNECT), (self.network, ALLOW_NETWORK)] {
            if allowed {
                words.push(flag.into());
            }
        }
        words.extend([PROGRAM.into(), program.into()]);
        words
    }

    /// The same for a launcher that first prints an [`Enforcement`] on one line.
    pub(crate) fn reporting_arguments(&self, program: &Path) -> Vec<OsString> {
        [vec![REPORT.into()], self.arguments(program)].concat()
    }
}

/// What the kernel enforces of a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforcement {
    /// The version of Landlock's ABI; 0 without Landlock.
    pub landlock: u32,
    /// Whether system calls are filtered.
    pub system_calls: bool,
}

impl Enforcement {
    /// What is not enforced, and why.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Self { landlock: 0, system_calls: false } => Some(
                "the kernel has neither Landlock nor seccomp filters, so files and system calls are not limited",
            ),
            Self { landlock: 0, .. } => {
                Some("Landlock is not enabled in the kernel, so files are not limited")
            }
            Self { system_calls: false, .. } => Some(
                "the kernel has no seccomp filters for this architecture, so system calls are not limited",
            ),
            _ => None,
        }
    }
}

/// The parsed command line of a launcher.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    sandbox: Sandbox,
    report: bool,
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Request {
    fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let (mut sandbox, mut report) = (Sandbox::default(), false);
        loop {
            let flag = words.next().ok_or_else(|| format!("{PROGRAM} is required"))?;
            let mut path = || words.next().map(PathBuf::from).ok_or("a path is required");
            if flag == PROGRAM {
                let program = path()?;
                return Ok(Self { sandbox, report, program, arguments: words.collect() });
            } else if let Some(access) = Access::ALL.into_iter().find(|access| flag == access.flag()) {
                sandbox.files.push((access, path()?));
            } else if flag == ALLOW_CONNECT {
                sandbox.connect = true;
            } else if flag == ALLOW_NETWORK {
                sandbox.network = true;
            } else if flag == REPORT {
                report = true;
            } else {
                return Err(format!("unknown argument {}", flag.display()));
            }
        }
    }

    /// Enters the sandbox and executes the program. Returns what failed.
    fn execute(self) -> String {
        let enforcement = match enter(&self.sandbox) {
            Ok(enforcement) => enforcement,
            Err(error) => return error,
        };
        if self.report {
            let line = serde_json::to_string(&enforcement).unwrap_or_default();
            if let Err(error) = writeln!(io::stdout(), "{line}") {
                return format!("cannot report the sandbox: {error}");
            }
        }
        let error = Command::new(&self.program).args(self.arguments).exec();
        format!("cannot execute {}: {error}", self.program.display())
    }
}

fn enter(sandbox: &Sandbox) -> Result<Enforcement, String> {
    rustix::thread::set_no_new_privs(true).map_err(|error| format!("cannot set no_new_privs: {error}"))?;
    let landlock = files::restrict(&sandbox.files).map_err(|error| format!("cannot limit files: {error}"))?;
    let system_calls =
        system_calls::restrict(sandbox).map_err(|error| format!("cannot limit system calls: {error}"))?;
    Ok(Enforcement { landlock, system_calls })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> impl Iterator<Item = OsString> {
        text.split_whitespace().map(OsString::from)
    }

    #[test]
    fn invalid_command_lines_are_refused() {
        let refused = |text| Request::parse(words(text)).expect_err(text);
        assert!(refused("").contains("--program is required"));
        assert!(refused("--read /etc").contains("--program is required"));
        assert!(refused("--read").contains("a path is required"));
        assert!(refused("--write /etc --program /bin/true").contains("unknown argument --write"));
    }

    #[test]
    fn parts_that_are_not_enforced_are_named() {
        let missing = |landlock, system_calls| Enforcement { landlock, system_calls }.missing();
        assert_eq!(missing(1, true), None);
        assert!(missing(0, true).expect("files").contains("Landlock"));
        assert!(missing(7, false).expect("system calls").contains("seccomp"));
        assert!(missing(0, false).expect("both").contains("neither"));
    }

    proptest! {
        #[test]
        fn launcher_arguments_are_parsed_as_they_were_written(
            files in proptest::collection::vec((0..Access::ALL.len(), ".{1,9}"), 0..9),
            connect in any::<bool>(),
            network in any::<bool>(),
            report in any::<bool>(),
            program in ".{1,9}",
            arguments in proptest::collection::vec(".{0,9}", 0..9),
        ) {
            let files = files.into_iter().map(|(access, path)| (Access::ALL[access], path.into())).collect();
            let sandbox = Sandbox { files, connect, network };
            let arguments: Vec<OsString> = arguments.into_iter().map(OsString::from).collect();
            let own = match report {
                true => sandbox.reporting_arguments(Path::new(&program)),
                false => sandbox.arguments(Path::new(&program)),
            };
            let parsed = Request::parse(own.into_iter().chain(arguments.clone()));
            prop_assert_eq!(parsed, Ok(Request { sandbox, report, program: program.into(), arguments }));
        }
    }
}
