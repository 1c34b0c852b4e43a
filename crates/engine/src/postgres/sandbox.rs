//! What a SQL server can reach: its own data and sockets, and what it needs of the system to run.

use super::{binaries::Programs, context::EngineContext, owner::Owner, server::LaunchSpec};
use crate::launcher::{self, Access, Enforcement};
use ootheca_model::{Error, Result};
use parking_lot::Mutex;
use std::{
    ffi::OsString,
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

/// Programs, libraries, locales, and time zones.
const EXECUTABLE: [&str; 8] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store"];

/// Of `/etc`, only what libraries read, because secrets of other programs are there as well.
const READABLE: [&str; 23] = [
    "/etc/crypto-policies",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki/tls/openssl.cnf",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
    "/dev/random",
    "/dev/urandom",
    "/sys/devices/system",
    // Dictionaries of text search, on Debian.
    "/var/cache/postgresql",
];

/// In `/proc`, a server lowers its own priority when memory runs out (`oom_score_adj`).
const UPDATABLE: [&str; 3] = ["/dev/null", "/dev/zero", "/proc"];

/// Before this version, the statistics collector receives UDP on a loopback address.
const FIRST_WITHOUT_NETWORK: u32 = 15;

/// The sandbox of all servers of this engine.
#[derive(Debug)]
pub(super) struct Sandbox {
    launcher: PathBuf,
    /// Additional paths that servers can read and execute.
    paths: Vec<PathBuf>,
    /// The version of PostgreSQL that is used for the check.
    version: String,
    /// `postgres -V` in a sandbox, until its output was read.
    check: Mutex<Option<Child>>,
    enforcement: OnceLock<Enforcement>,
}

impl Sandbox {
    /// Runs `postgres -V` in a sandbox, and does not wait for its end, because it takes a tenth of
    /// the start of the control plane.
    pub(super) fn start_check(
        launcher: &Path,
        paths: &[PathBuf],
        owner: &Owner,
        programs: &Programs,
    ) -> Result<Self> {
        let program = programs.program("postgres");
        let sandbox = launcher::Sandbox { files: files(programs, paths, &[]), ..Default::default() };
        let check = command(launcher, owner, sandbox.reporting_arguments(&program))
            .arg("-V")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                let why = format!("cannot start the launcher as {}: {error}", owner.name());
                failed(&programs.version, &why)
            })?;
        Ok(Self {
            launcher: launcher.to_owned(),
            paths: paths.to_owned(),
            version: programs.version.clone(),
            check: Mutex::new(Some(check)),
            enforcement: OnceLock::new(),
        })
    }

    /// Waits for the end of the check. Returns an error if servers don't start in the sandbox.
    pub(super) fn finish_check(&self) -> Result<Enforcement> {
        let Some(check) = self.check.lock().take() else {
            return self.enforcement().ok_or_else(|| Error::internal("the sandbox could not be checked"));
        };
        let failed = |why: String| failed(&self.version, &why);
        let output = check.wait_with_output().map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(failed(format!("{} ({})", errors.trim(), output.status)));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let report = text.lines().next().and_then(|line| serde_json::from_str(line).ok());
        let enforcement = report.ok_or_else(|| failed(format!("unexpected output: {}", text.trim())))?;
        Ok(*self.enforcement.get_or_init(|| enforcement))
    }

    /// What the kernel enforces, once it was checked.
    pub(super) fn enforcement(&self) -> Option<Enforcement> {
        self.enforcement.get().copied()
    }

    /// A command that starts a server in its sandbox. The arguments of the server follow.
    pub(super) fn command(&self, spec: &LaunchSpec<'_>) -> Command {
        self.program(spec, "postgres")
    }

    /// The same for another program of PostgreSQL, with what the server can reach.
    pub(super) fn program(&self, spec: &LaunchSpec<'_>, name: &str) -> Command {
        let programs = spec.programs;
        let mut own = vec![(Access::Data, spec.data), (Access::Sockets, spec.sockets)];
        own.extend(spec.spool.map(|spool| (Access::Data, spool)));
        // Of all servers: nodes can be added later, and their folders are created anew. Those of other clusters
        // belong to other users.
        let reach = spec.sockets.parent().filter(|_| spec.connect);
        own.extend(reach.map(|run| (Access::Connect, run)));
        let sandbox = launcher::Sandbox {
            files: files(programs, &self.paths, &own),
            connect: spec.connect,
            network: programs.major < FIRST_WITHOUT_NETWORK,
        };
        command(&self.launcher, spec.owner, sandbox.arguments(&programs.program(name)))
    }
}

impl EngineContext {
    /// Why a server of a cluster with several nodes can connect to servers of other clusters; `None` if it can't, or
    /// if servers are started without a sandbox.
    pub(super) fn sandbox_reduced(&self) -> Option<&str> {
        self.sandbox.as_ref().and(self.owners.nodes_unavailable())
    }

    /// Why a cluster cannot have several nodes on this machine.
    pub(super) fn nodes_unavailable(&self) -> Option<String> {
        let reason = self.sandbox_reduced().filter(|_| self.settings.sandbox_strict)?;
        Some(format!("engine.sandbox is \"strict\", and {reason}"))
    }
}

fn failed(version: &str, why: &str) -> Error {
    Error::precondition(format!(
        "engine.sandbox: {version} does not start in a sandbox: {why}; add the paths that it needs to \
         engine.sandbox_paths, or set engine.sandbox to \"off\""
    ))
}

fn command(launcher: &Path, owner: &Owner, arguments: Vec<OsString>) -> Command {
    let mut command = owner.command(launcher);
    command.arg0(launcher::NAME).args(arguments);
    command
}

fn files(programs: &Programs, paths: &[PathBuf], own: &[(Access, &Path)]) -> Vec<(Access, PathBuf)> {
    let with = |access: Access| move |path: &'static str| (access, PathBuf::from(path));
    let mut files: Vec<(Access, PathBuf)> = EXECUTABLE.into_iter().map(with(Access::Execute)).collect();
    files.push((Access::Execute, installation(&programs.program("postgres"))));
    files.extend(paths.iter().map(|path| (Access::Execute, path.clone())));
    files.extend(READABLE.into_iter().map(with(Access::Read)));
    files.extend(UPDATABLE.into_iter().map(with(Access::Update)));
    files.extend(own.iter().map(|(access, path)| (*access, (*path).to_owned())));
    files
}

/// The directory that contains `bin`, `lib`, and `share` of a program, or that of the program itself if that
/// would be the root directory.
fn installation(program: &Path) -> PathBuf {
    let program = fs::canonicalize(program).unwrap_or_else(|_| program.to_owned());
    let mut above = program.ancestors().skip(1);
    let folder = above.next().unwrap_or(&program);
    above.next().filter(|prefix| prefix.parent().is_some()).unwrap_or(folder).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_can_use_their_installation_and_not_the_whole_machine() {
        let at = |path: &str| installation(Path::new(path)).display().to_string();
        assert_eq!(at("/opt/no-such-postgres/bin/postgres"), "/opt/no-such-postgres");
        assert_eq!(at("/no-such-bin/postgres"), "/no-such-bin");
    }

    #[test]
    fn only_the_data_and_the_sockets_of_a_server_can_be_changed() {
        let programs =
            Programs { major: 15, version: "PostgreSQL 15.18".to_owned(), folder: "/x/bin".into() };
        let own = [(Access::Data, Path::new("/d")), (Access::Sockets, Path::new("/s"))];
        let files = files(&programs, &["/extra".into()], &own);
        let with = |wanted| -> Vec<String> {
            let found = files.iter().filter(|(access, _)| *access == wanted);
            found.map(|(_, path)| path.display().to_string()).collect()
        };
        assert_eq!((with(Access::Data), with(Access::Sockets)), (vec!["/d".into()], vec!["/s".into()]));
        assert_eq!(with(Access::Update), UPDATABLE);
        assert!(with(Access::Execute).contains(&"/extra".to_owned()));
        for secret in ["/", "/etc", "/root", "/home", "/var", "/tmp", "/run", "/dev"] {
            assert!(!files.iter().any(|(_, path)| path == Path::new(secret)), "{secret}");
        }
    }
}
