//! The command line and environment with which a server is started.

use crate::{Client, Ootheca, shared_template};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The environment variable that says whether the server takes backups. Earlier programs don't have this setting.
pub const BACKUPS: &str = "OOTHECA_BACKUPS__ENABLED";

/// The engine that runs the SQL servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Simulated,
    Postgres,
}

/// The command line and environment of a server. Kept, so that the server can be restarted.
#[derive(Clone, Debug)]
pub struct ServerBuilder {
    program: PathBuf,
    engine: Engine,
    pub(crate) listen: SocketAddr,
    args: Vec<String>,
    env: Vec<(String, String)>,
    open_files: Option<u32>,
    shared_template: bool,
}

impl ServerBuilder {
    /// The program with the simulated engine. With the PostgreSQL engine, no spares are created. No backups are taken.
    pub fn new(program: &str) -> Self {
        let launch = Self {
            program: program.into(),
            engine: Engine::Simulated,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            args: Vec::new(),
            env: Vec::new(),
            open_files: None,
            shared_template: true,
        };
        // Tests must not be rate limited.
        let launch = launch.env("OOTHECA_RATE_LIMIT__MODE", "never");
        launch.env("OOTHECA_LOG", "info").env(BACKUPS, "false").pool(0)
    }

    /// Takes backups, and lets tests advance the clock until they are due.
    #[must_use]
    pub fn backups(self) -> Self {
        self.env(BACKUPS, "true").arg("--test-clock")
    }

    /// Sets the engine.
    #[must_use]
    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    /// Sets the store, which is SQLite by default.
    #[must_use]
    pub fn store(self, url: &str) -> Self {
        self.arg("--store").arg(url)
    }

    /// Sets the number of spares.
    #[must_use]
    pub fn pool(self, size: usize) -> Self {
        self.env("OOTHECA_ENGINE__POOL_SIZE", &size.to_string())
    }

    /// Lets the server create its own template, as the first start on a machine does.
    #[must_use]
    pub fn own_template(mut self) -> Self {
        self.shared_template = false;
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Removes arguments.
    #[must_use]
    pub fn without(mut self, arg: &str) -> Self {
        self.args.retain(|known| known != arg);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Limits the number of files that the server can have open.
    #[must_use]
    pub fn open_files(mut self, limit: u32) -> Self {
        self.open_files = Some(limit);
        self
    }

    /// Removes an environment variable.
    #[must_use]
    pub fn without_env(mut self, name: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self
    }

    /// Sets the address of the API.
    #[must_use]
    pub fn listening(mut self, address: &str) -> Self {
        self.listen = address.parse().expect("an address");
        self
    }

    /// A client, over TLS if the settings say so.
    pub(crate) fn client(&self, listen: SocketAddr, key: &str, data: &Path) -> Client {
        let of = |name: &str| self.env.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        let authority = match (of("OOTHECA_TLS__CERTIFICATE"), of("OOTHECA_TLS__SELF_SIGNED")) {
            (Some(file), _) => PathBuf::from(file),
            (None, Some(_)) => data.join("certificates/ca.pem"),
            (None, None) => return Client::new(&format!("http://{listen}"), key),
        };
        Client::new(&format!("https://{listen}"), key).trusting(&authority)
    }

    /// The command line of `serve` for a data directory.
    pub fn command(&self, data: &Path) -> Command {
        let mut command = self.program();
        let engine = match self.engine {
            Engine::Simulated => "simulated",
            Engine::Postgres => "postgres",
        };
        command.args(["serve", "--engine", engine, "--sql-listen", "127.0.0.1:0"]);
        command.arg("--listen").arg(self.listen.to_string());
        command.arg("--data-dir").arg(data).args(&self.args).envs(self.env.iter().cloned());
        command
    }

    /// The program without settings from the environment.
    pub fn program(&self) -> Command {
        let mut command = match self.open_files {
            None => Command::new(&self.program),
            Some(limit) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {limit} && exec \"$@\""), "sh"]).arg(&self.program);
                shell
            }
        };
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OOTHECA_")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Starts a server in a new folder.
    pub fn boot(self) -> Ootheca {
        let mut server = self.idle();
        server.start();
        server
    }

    /// Creates a server in a new folder without starting it.
    pub fn idle(self) -> Ootheca {
        let server = Ootheca::new(self.clone());
        if self.engine == Engine::Postgres && self.shared_template {
            shared_template::copy_to(&server.data_dir(), &self.program);
        }
        server
    }
}
