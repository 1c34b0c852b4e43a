//! Runs the real `psql` with the unmodified connection string from the API.

use crate::Ootheca;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

const END: &str = "--end-of-answer--";
const LIMIT: Duration = Duration::from_secs(30);

/// The output of `psql`.
#[derive(Clone, Debug)]
pub struct Spoken {
    /// Whether `psql` succeeded.
    pub success: bool,
    /// The rows, unaligned and without headers.
    pub out: String,
    /// Errors and notices.
    pub err: String,
}

impl Spoken {
    /// Returns the rows. Panics if the statement failed.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert!(self.success, "psql: {}", self.err);
        self.out.trim()
    }

    /// Returns the error if it contains `text`. Panics otherwise.
    #[track_caller]
    pub fn fails(&self, text: &str) -> &str {
        assert!(!self.success && self.err.contains(text), "expected an error with {text:?}: {self:?}");
        &self.err
    }
}

impl Ootheca {
    /// Runs SQL in a cluster as one of its users.
    pub fn psql(&self, cluster: &str, user: &str, password: &str, sql: &str) -> Spoken {
        self.psql_at(&self.connection_string(cluster, user), password, sql)
    }

    /// Runs SQL with a connection string.
    pub fn psql_at(&self, string: &str, password: &str, sql: &str) -> Spoken {
        speak(self.psql_command(string, password), sql)
    }

    /// Runs one of PostgreSQL's own programs without a database, so that it chooses one.
    pub fn tool(&self, cluster: &str, user: &str, password: &str, name: &str, args: &[&str]) -> Spoken {
        self.connection_string(cluster, user);
        let routing_id = self.get(&format!("/clusters/{cluster}")).text("/config/serverless/routing_id");
        let mut command = program(&self.home(), name, password);
        command.env("PGHOST", "localhost").env("PGPORT", self.sql_address().port().to_string());
        command.env("PGUSER", user).env("PGSSLMODE", "verify-full");
        command.env("PGOPTIONS", format!("--cluster={routing_id}"));
        output(command.args(args))
    }

    /// Returns a function that runs SQL, for use while the server is being changed.
    pub fn psql_later(&self, string: &str, password: &str) -> impl Fn(&str) -> Spoken + Send + use<> {
        let (home, string, password) = (self.home(), string.to_owned(), password.to_owned());
        move |sql| speak(command(&home, &string, &password), sql)
    }

    /// Returns the connection string from the API, and saves the certificate for `psql`.
    pub fn connection_string(&self, cluster: &str, user: &str) -> String {
        let certificate = self.anonymous().raw("GET", &format!("/clusters/{cluster}/cert")).send();
        assert_eq!(certificate.status, 200, "{certificate}");
        let folder = self.home().join(".postgresql");
        fs::create_dir_all(&folder).expect("a home folder");
        fs::write(folder.join("root.crt"), &certificate.bytes).expect("the certificate");
        self.get(&format!("/clusters/{cluster}/connection-string?sql_user={user}&os=LINUX"))
            .text("/connection_string")
    }

    /// Opens a session that stays open.
    pub fn session(&self, cluster: &str, user: &str, password: &str) -> Session {
        self.session_at(&self.connection_string(cluster, user), password)
    }

    /// Opens a session with a connection string.
    pub fn session_at(&self, string: &str, password: &str) -> Session {
        Session::open(self.psql_command(string, password))
    }

    fn psql_command(&self, string: &str, password: &str) -> Command {
        command(&self.home(), string, password)
    }
}

fn command(home: &Path, string: &str, password: &str) -> Command {
    let mut command = program(home, "psql", password);
    command.args(["-X", "-A", "-t", "-q", "-w", "-d", string]);
    command
}

fn program(home: &Path, name: &str, password: &str) -> Command {
    // The program itself, because Debian's `psql` in PATH is a script that takes longer than the query.
    let mut command = Command::new(crate::postgres::program(name));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
        command.env_remove(name);
    }
    command.env("HOME", home).env("PGPASSWORD", password).env("PGCONNECT_TIMEOUT", "20");
    command.env("LC_ALL", "C.UTF-8").current_dir("/");
    command
}

fn speak(mut command: Command, sql: &str) -> Spoken {
    output(command.args(["-v", "ON_ERROR_STOP=1", "-c", sql]))
}

fn output(command: &mut Command) -> Spoken {
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Spoken { success: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// A running `psql` that reads statements from its input.
pub struct Session {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Session {
    fn open(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("psql starts");
        let output = child.stdout.take().expect("a pipe");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        Self { child, input, lines }
    }

    /// Sends SQL without waiting for the result.
    pub fn send(&mut self, sql: &str) {
        let text = format!("{sql};\n\\echo {END}\n");
        // A terminated session has closed the pipe. The answer reports this.
        let _ = self.input.as_mut().expect("it is open").write_all(text.as_bytes());
    }

    /// Returns the rows of the last statement, or the output of `psql` if it exited.
    pub fn answer(&mut self) -> Result<String, String> {
        let mut rows = Vec::new();
        loop {
            match self.lines.recv_timeout(LIMIT) {
                Ok(line) if line == END => return Ok(rows.join("\n")),
                Ok(line) => rows.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("psql did not respond within {LIMIT:?}"),
                Err(RecvTimeoutError::Disconnected) => return Err(self.last_words()),
            }
        }
    }

    /// Runs SQL.
    pub fn run(&mut self, sql: &str) -> Result<String, String> {
        self.send(sql);
        self.answer()
    }

    /// The process ID of this `psql`.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Closes the input, waits for the exit, and returns the output on standard error.
    pub fn last_words(&mut self) -> String {
        self.input = None;
        let mut text = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            let _ = errors.read_to_string(&mut text);
        }
        let _ = self.child.wait();
        text
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
