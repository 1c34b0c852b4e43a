//! Copies a database, or some of its schemas: `pg_dump | pg_restore`.
//!
//! The data passes through this process, so both programs end if it is killed. Passwords are in their environment
//! only, which other users and sandboxed servers cannot read.

use super::{Job, staged::StagedServer};
use crate::{
    files::failed,
    postgres::{admin_role, context::CONTROL_USER},
};
use ootheca_model::{Error, Result, names::SHELL_USER};
use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::{Command, Stdio},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, ChildStdout},
};

const DUMP_PROGRAM: &str = "pg_dump";
pub(super) const RESTORE_PROGRAM: &str = "pg_restore";
/// The application name of the sessions.
pub(super) const APPLICATION: &str = "ootheca restore";
const PART: usize = 64 << 10;
/// How much of the output of a program is kept.
const MAX_ERRORS: usize = 64 << 10;

const BOTH: [&str; 5] =
    ["--no-owner", "--no-privileges", "--no-tablespaces", "--no-subscriptions", "--no-password"];
const DUMP: [&str; 2] = ["--format=custom", "--compress=0"];
const RESTORE: [&str; 2] = ["--single-transaction", "--exit-on-error"];
/// Override what a tenant may have set for the database.
const DUMP_OPTIONS: &str = "-c role=none -c default_transaction_read_only=off";
const RESTORE_OPTIONS: &str = "-c default_transaction_read_only=off -c client_min_messages=error";

/// Errors that go away by themselves, or that concern the machine.
const TRANSIENT: [&str; 7] = [
    "canceling ",
    "could not extend file",
    "deadlock detected",
    "No space left on device",
    "out of memory",
    "out of shared memory",
    "terminating connection",
];

/// What is copied.
pub(super) struct Copy<'a> {
    /// A database of the staged instance.
    pub(super) from: &'a [u8],
    /// A database of the destination.
    pub(super) to: &'a str,
    /// Only objects in these schemas, which must exist in source and destination. All objects if it is empty.
    pub(super) schemas: &'a [String],
}

impl Job<'_> {
    /// Copies in one transaction of the destination. `advance` is told the bytes of each part.
    pub(super) async fn copy(
        &self,
        staged: &StagedServer,
        copy: &Copy<'_>,
        advance: impl FnMut(u64),
    ) -> Result<()> {
        let mut dump = spawn(self.dump_command(staged, copy)?)?;
        let mut restore = spawn(self.restore_command(copy)?)?;
        let (Some(output), Some(input), Some(dump_errors), Some(restore_errors)) =
            (dump.stdout.take(), restore.stdin.take(), dump.stderr.take(), restore.stderr.take())
        else {
            return Err(Error::internal("a program was started without its pipes"));
        };
        let ((), dump_errors, restore_errors) =
            tokio::join!(pump(output, input, advance), last_bytes(dump_errors), last_bytes(restore_errors));
        let unknown = |error| Error::unavailable("cannot wait for the end of a program").because(error);
        let (dumped, restored) = tokio::try_join!(dump.wait(), restore.wait()).map_err(unknown)?;
        // It has committed only if it has read everything.
        if restored.success() && dumped.success() {
            return Ok(());
        }
        Err(failure(&dump_errors, &restore_errors))
    }

    fn dump_command(&self, staged: &StagedServer, copy: &Copy<'_>) -> Result<Command> {
        let program = staged.instance.programs.client_program(DUMP_PROGRAM)?;
        let mut command = staged.owner.command(&program);
        command.args(BOTH).args(DUMP).current_dir(staged.instance.data());
        if self.restore.options.schema_only {
            command.arg("--schema-only");
        }
        // They are patterns, in which quoted text stands for itself.
        command.args(copy.schemas.iter().map(|schema| format!("--schema=\"{schema}\"")));
        command
            .env("PGHOST", staged.sockets())
            .env("PGDATABASE", OsStr::from_bytes(copy.from))
            .env("PGUSER", CONTROL_USER)
            .env("PGPASSWORD", self.context.secret_of(&staged.sockets())?)
            .env("PGOPTIONS", DUMP_OPTIONS)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        Ok(command)
    }

    fn restore_command(&self, copy: &Copy<'_>) -> Result<Command> {
        let instance = self.destination;
        let program = instance.programs.client_program(RESTORE_PROGRAM)?;
        let owner = self.context.owner_of(&instance.id, &instance.folder)?;
        let mut command = owner.command(&program);
        command.args(BOTH).args(RESTORE).current_dir(instance.data());
        command.arg(format!("--role={}", admin_role::NAME));
        command.arg(format!("--dbname={}", connection_string(copy.to)));
        command.args(copy.schemas.iter().map(|schema| format!("--schema={schema}")));
        command
            .env("PGHOST", instance.sockets())
            .env("PGUSER", SHELL_USER)
            .env("PGPASSWORD", self.context.shell.password(&instance.sockets()))
            .env("PGOPTIONS", RESTORE_OPTIONS)
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        Ok(command)
    }
}

/// The program is killed if the child is dropped.
fn spawn(mut command: Command) -> Result<Child> {
    command.env("PGPORT", "5432").env("PGAPPNAME", APPLICATION).stderr(Stdio::piped());
    let path = command.get_program().to_owned();
    let child = tokio::process::Command::from(command).kill_on_drop(true).spawn();
    child.map_err(failed("start", Path::new(&path)))
}

/// Copies until one of the programs ends. The other one notices that its pipe is closed.
async fn pump(mut from: ChildStdout, mut to: ChildStdin, mut advance: impl FnMut(u64)) {
    let mut part = vec![0; PART];
    while let Ok(read @ 1..) = from.read(&mut part).await {
        if to.write_all(&part[..read]).await.is_err() {
            return;
        }
        advance(read as u64);
    }
}

/// The end of the output. A tenant's functions can make it arbitrarily long.
async fn last_bytes(mut output: impl AsyncRead + Unpin) -> Vec<u8> {
    let (mut kept, mut part) = (Vec::new(), vec![0; 4 << 10]);
    while let Ok(read @ 1..) = output.read(&mut part).await {
        kept.extend_from_slice(&part[..read]);
        if kept.len() > 2 * MAX_ERRORS {
            kept.drain(..kept.len() - MAX_ERRORS);
        }
    }
    kept
}

/// The name of a database as a connection string, because a name that contains `=` would be taken for one.
fn connection_string(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', r"\\").replace('\'', r"\'"))
}

/// Why the copy failed. Only the line with the error of the server is used: others quote statements.
fn failure(dump_errors: &[u8], restore_errors: &[u8]) -> Error {
    if let Some(text) = server_error(RESTORE_PROGRAM, restore_errors) {
        if TRANSIENT.iter().any(|transient| text.contains(transient)) {
            return Error::unavailable("the SQL server could not restore the objects").because(text);
        }
        return Error::precondition(format!("the objects can't be restored: {text}"));
    }
    match server_error(DUMP_PROGRAM, dump_errors) {
        Some(text) if !TRANSIENT.iter().any(|transient| text.contains(transient)) => {
            Error::internal("PostgreSQL can't read the objects of the backup").because(text)
        }
        text => {
            Error::unavailable("the copy of the objects was interrupted").because(text.unwrap_or_default())
        }
    }
}

/// The first error of the server in the output of a program.
fn server_error(program: &str, output: &[u8]) -> Option<String> {
    let output = String::from_utf8_lossy(output);
    let mut own = output.lines().filter(|line| {
        line.strip_prefix(program)
            .is_some_and(|rest| rest.starts_with(": error:") || rest.starts_with(": detail:"))
    });
    let text = |line: &str| {
        let (_, text) = line.split_once("ERROR:  ").or_else(|| {
            let (_, refused) = line.split_once("FATAL:  ")?;
            refused.starts_with("permission denied").then_some(("", refused))
        })?;
        Some(text.to_owned())
    };
    own.find_map(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ootheca_model::ErrorKind;

    #[test]
    fn names_of_databases_are_quoted() {
        assert_eq!(connection_string("a b=c"), "dbname='a b=c'");
        assert_eq!(connection_string(r"it's \"), r"dbname='it\'s \\'");
    }

    #[test]
    fn failures_are_explained_by_the_server() {
        let kind = |dump: &str, restore: &str| failure(dump.as_bytes(), restore.as_bytes()).kind();
        let missing = "pg_restore: while PROCESSING TOC:\n\
                       pg_restore: from TOC entry 7; 1259 16384 TABLE t admin\n\
                       pg_restore: error: could not execute query: ERROR:  type \"public.color\" does not exist\n\
                       Command was: CREATE TABLE x (a text DEFAULT 'secret');\n";
        let error =
            failure(b"pg_dump: error: could not write to output file: Broken pipe\n", missing.as_bytes());
        assert_eq!(error.kind(), ErrorKind::Precondition);
        assert!(error.message().ends_with(": type \"public.color\" does not exist"), "{error}");
        assert!(!error.chain().contains("secret"), "{}", error.chain());
        let full = "pg_restore: error: COPY failed for table \"t\": ERROR:  could not extend file \"base/1/2\": \
                    No space left on device\n";
        assert_eq!(kind("", full), ErrorKind::Unavailable);
        let closed = "pg_restore: error: connection to server on socket \"/s\" failed: FATAL:  the database system is \
                      shutting down\n";
        assert_eq!(kind("", closed), ErrorKind::Unavailable);
        let denied = "pg_restore: error: connection to server on socket \"/s\" failed: FATAL:  permission denied for \
                      database \"a\"\n";
        assert_eq!(kind("", denied), ErrorKind::Precondition);
        let cut = "pg_restore: error: could not read from input file: end of file\n";
        assert_eq!(kind("", cut), ErrorKind::Unavailable);
        let damaged = "pg_dump: error: Dumping the contents of table \"t\" failed: PQgetResult() failed.\n\
                       pg_dump: detail: Error message from server: ERROR:  invalid page in block 0\n";
        assert_eq!(kind(damaged, cut), ErrorKind::Internal);
        assert_eq!(kind("", "ERROR:  printed by a function\n"), ErrorKind::Unavailable);
    }
}
