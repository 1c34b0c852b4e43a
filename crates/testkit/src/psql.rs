//! Real `psql`, with the connection string that the API hands out, as it is.

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

/// What `psql` said.
#[derive(Clone, Debug)]
pub struct Spoken {
    /// Whether it succeeded.
    pub success: bool,
    /// Rows, unaligned, without headers.
    pub out: String,
    /// Errors and notices.
    pub err: String,
}

impl Spoken {
    /// The rows of a success; panics otherwise.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert!(self.success, "psql: {}", self.err);
        self.out.trim()
    }

    /// The error of a failure that speaks of `text`; panics otherwise.
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

    /// Runs SQL over a connection string.
    pub fn psql_at(&self, string: &str, password: &str, sql: &str) -> Spoken {
        speak(self.psql_command(string, password), sql)
    }

    /// The same, to be done while the server is being changed.
    pub fn psql_later(&self, string: &str, password: &str) -> impl Fn(&str) -> Spoken + Send + use<> {
        let (home, string, password) = (self.home(), string.to_owned(), password.to_owned());
        move |sql| speak(command(&home, &string, &password), sql)
    }

    /// The connection string that the API gives; it also saves the certificate for `psql`.
    pub fn connection_string(&self, cluster: &str, user: &str) -> String {
        let certificate = self.anonymous().raw("GET", &format!("/clusters/{cluster}/cert")).send();
        assert_eq!(certificate.status, 200, "{certificate}");
        let folder = self.home().join(".postgresql");
        fs::create_dir_all(&folder).expect("a home folder");
        fs::write(folder.join("root.crt"), &certificate.bytes).expect("the certificate");
        self.get(&format!("/clusters/{cluster}/connection-string?sql_user={user}&os=LINUX"))
            .text("/connection_string")
    }

    /// A session that stays open.
    pub fn session(&self, cluster: &str, user: &str, password: &str) -> Session {
        self.session_at(&self.connection_string(cluster, user), password)
    }

    /// The same over a connection string.
    pub fn session_at(&self, string: &str, password: &str) -> Session {
        Session::open(self.psql_command(string, password))
    }

    fn psql_command(&self, string: &str, password: &str) -> Command {
        command(&self.home(), string, password)
    }
}

fn command(home: &Path, string: &str, password: &str) -> Command {
    // The program itself: Debian's `psql` in PATH is a script that takes longer than the query.
    let mut command = Command::new(crate::postgres::program("psql"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
        command.env_remove(name);
    }
    command.env("HOME", home).env("PGPASSWORD", password).env("PGCONNECT_TIMEOUT", "20");
    command.env("LC_ALL", "C.UTF-8").current_dir("/");
    command.args(["-X", "-A", "-t", "-q", "-w", "-d", string]);
    command
}

fn speak(mut command: Command, sql: &str) -> Spoken {
    command.args(["-v", "ON_ERROR_STOP=1", "-c", sql]);
    let output = command.stdin(Stdio::null()).output().expect("psql starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Spoken { success: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// A `psql` that waits for more.
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

    /// Sends SQL without waiting for its answer.
    pub fn send(&mut self, sql: &str) {
        let text = format!("{sql};\n\\echo {END}\n");
        // A session that was cut has closed the pipe: the answer will say so.
        let _ = self.input.as_mut().expect("it is open").write_all(text.as_bytes());
    }

    /// The rows of what was sent, or what `psql` said when it ended.
    pub fn answer(&mut self) -> Result<String, String> {
        let mut rows = Vec::new();
        loop {
            match self.lines.recv_timeout(LIMIT) {
                Ok(line) if line == END => return Ok(rows.join("\n")),
                Ok(line) => rows.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("psql does not answer within {LIMIT:?}"),
                Err(RecvTimeoutError::Disconnected) => return Err(self.last_words()),
            }
        }
    }

    /// Runs SQL.
    pub fn run(&mut self, sql: &str) -> Result<String, String> {
        self.send(sql);
        self.answer()
    }

    /// Process id of this `psql`.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Closes the input, waits for the end and returns what it said to standard error.
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
