//! A PostgreSQL server for tests that store rows in one.

use crate::{Folder, eventually, port::free_port, processes};
use rustix::process::Signal;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

/// The unprivileged user that runs the server under root.
const USER: &str = "ootheca";

/// A temporary server on a loopback port. Dropping it stops the server and removes its folder.
pub struct TemporaryPostgres {
    folder: Folder,
    server: Child,
    port: u16,
}

impl TemporaryPostgres {
    /// Initializes and starts a server. Returns once it accepts connections.
    pub fn start() -> Self {
        Self::start_with(|_, _| {})
    }

    /// Like `start`, but calls `prepare` with the data directory and the command before the command runs.
    pub fn start_with(prepare: impl FnOnce(&Path, &mut Command)) -> Self {
        let folder = Folder::new();
        let data = folder.path().join("pg");
        fs::create_dir(&data).expect("a data directory");
        if root() {
            let status = Command::new("chown").arg(USER).arg(&data).status().expect("chown starts");
            assert!(status.success(), "chown {USER}: does this user exist?");
        }
        let mut initdb = as_user(&program("initdb"));
        initdb.args([
            "--no-sync",
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C",
            "-D",
        ]);
        let output = initdb.arg(&data).current_dir("/").output().expect("initdb starts");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let port = free_port();
        let mut server = as_user(&program("postgres"));
        server.arg("-D").arg(&data).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        server.args(["-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "shared_buffers=16MB"]);
        // The connections of a store that was dropped end a little later.
        server.args(["-c", "max_connections=400"]);
        prepare(&data, &mut server);
        server.stdin(Stdio::null()).stdout(Stdio::null()).current_dir("/");
        let log = fs::File::create(folder.path().join("log")).expect("failed to open the log");
        let server = server.stderr(log).spawn().expect("postgres starts");
        let mut this = Self { folder, server, port };
        eventually("the temporary PostgreSQL server is ready", || this.is_ready().then_some(()));
        this
    }

    fn is_ready(&mut self) -> bool {
        let ended = !matches!(self.server.try_wait(), Ok(None));
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        assert!(!ended, "postgres exited during startup:\n{log}");
        let state = fs::read_to_string(self.folder.path().join("pg/postmaster.pid")).unwrap_or_default();
        state.lines().nth(7).is_some_and(|word| word.trim() == "ready")
            && TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The URL of the default database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for TemporaryPostgres {
    fn drop(&mut self) {
        if thread::panicking() {
            self.folder.keep();
        }
        processes::signal(self.server.id(), Signal::QUIT);
        let _ = self.server.wait();
    }
}

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs the program as an unprivileged user if this process runs as root.
fn as_user(program: &Path) -> Command {
    if !root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"]).arg(program);
    command
}

/// Finds a program of PostgreSQL: in Debian's directories, newest first, or in `PATH`.
pub fn program(name: &str) -> PathBuf {
    let folders = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut majors: Vec<(u32, PathBuf)> = folders
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin").join(name)))
        })
        .filter(|(_, path)| path.is_file())
        .collect();
    majors.sort();
    majors.pop().map_or_else(|| PathBuf::from(name), |(_, path)| path)
}
