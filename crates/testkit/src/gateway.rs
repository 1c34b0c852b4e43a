//! A gateway in a separate process beside a server.

use crate::{Ootheca, eventually, processes};
use rustix::process::Signal;
use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

/// A running `ootheca gateway`. It must be dropped before its server.
pub struct Gateway {
    program: OsString,
    args: Vec<OsString>,
    log: PathBuf,
    running: Child,
    address: SocketAddr,
}

impl Ootheca {
    /// Starts a separate gateway on the server's data directory with these arguments.
    pub fn gateway(&self, args: &[&str]) -> Gateway {
        self.gateway_with(args, &[])
    }

    /// The same with these environment variables, which its successor doesn't have.
    pub fn gateway_with(&self, args: &[&str], env: &[(&str, &str)]) -> Gateway {
        let (data, log) = (self.data_dir(), self.folder().join("gateway.log"));
        let fixed = ["gateway", "--sql-listen", "127.0.0.1:0", "--data-dir"].map(OsString::from);
        let args = fixed.into_iter().chain([data.into()]).chain(args.iter().map(OsString::from));
        let args: Vec<OsString> = args.collect();
        let program = self.program().get_program().to_owned();
        let mut command = command(&program, &args);
        command.envs(env.iter().copied());
        let (running, address) = start(command, &log);
        Gateway { program, args, log, running, address }
    }
}

fn command(program: &OsStr, args: &[OsString]) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OOTHECA_")) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn start(mut command: Command, path: &PathBuf) -> (Child, SocketAddr) {
    let file = File::options().create(true).append(true).open(path).expect("failed to open the log");
    let read = || String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let from = read().len();
    let mut child = command.stderr(file).spawn().expect("failed to start the program");
    let address = eventually("the gateway is ready", || {
        let ended = child.try_wait().expect("a child process").is_some();
        let log = read();
        let new = log.get(from..).unwrap_or_default();
        assert!(!ended, "the program exited during startup:\n{new}");
        find(new, "SQL gateway")
    });
    (child, address)
}

/// The address in the line of the startup message that starts with `what`.
fn find(log: &str, what: &str) -> Option<SocketAddr> {
    let whole = &log[..log.rfind('\n')?];
    let line = whole.lines().find_map(|line| line.trim_start().strip_prefix(what))?;
    let word = line.split_whitespace().next()?;
    word.trim_start_matches("http://").trim_end_matches("/metrics").parse().ok()
}

impl Gateway {
    /// The address for SQL clients.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the metrics.
    pub fn metrics(&self) -> SocketAddr {
        eventually("the address of the metrics is logged", || find(&self.log(), "Metrics"))
    }

    pub fn pid(&self) -> u32 {
        self.running.id()
    }

    /// The output so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Starts another process that takes over. The previous one must exit successfully.
    pub fn take_over(&mut self) {
        let status = self.take_over_from();
        assert!(status.success(), "the program exited with {status}");
    }

    /// The same, but returns how the previous process ended.
    pub fn take_over_from(&mut self) -> ExitStatus {
        let mut command = command(&self.program, &self.args);
        command.arg("--take-over");
        let (new, address) = start(command, &self.log);
        let mut before = std::mem::replace(&mut self.running, new);
        self.address = address;
        eventually("the previous gateway has exited", || before.try_wait().expect("a child process"))
    }

    /// Stops the gateway and waits until it has exited successfully.
    pub fn terminate(mut self) {
        processes::signal(self.running.id(), Signal::TERM);
        eventually("the gateway has exited", || {
            let status = self.running.try_wait().expect("a child process")?;
            assert!(status.success(), "the program exited with {status}");
            Some(())
        });
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of the gateway:\n{}", self.log());
        }
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}
