//! One PostgreSQL server process: start, readiness, connection, end.

use super::copy::make_private_folder;
use super::{
    binaries::Programs,
    connection::{Connection, Failure},
    host::{CONTROL_USER, Haste, Host, SOCKET},
    object::Name,
    process::{self, Process},
};
use crate::files::failed;
use ootheca_model::{Error, Result, effect};
use rustix::process::Signal;
use std::{
    fs::{self, File, OpenOptions},
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::Path,
    process::Stdio,
    time::Duration,
};
use tokio::sync::watch;
use tokio_postgres::{Client, NoTls};

/// How long an orderly stop may take before the server is told to drop everything.
const ORDERLY: Duration = Duration::from_secs(5);
/// The same where nobody waits for it, and a checkpoint makes the next start quick.
const SUSPENSION: Duration = Duration::from_secs(60);
/// PostgreSQL itself kills its children five seconds after that.
const IMMEDIATE: Duration = Duration::from_secs(6);
const POLL: Duration = Duration::from_millis(2);
/// How long a statement goes on after the gateway that its session came through was killed.
const ORPHANED: &str = "client_connection_check_interval=2s";
const LONGEST_LOG: u64 = 16 << 20;

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Sessions and open work are dropped; the next start recovers.
    AtOnce,
    /// With a checkpoint, unless that takes long.
    Orderly,
    /// With a checkpoint, which may take its time.
    Suspended,
}

impl End {
    fn patience(self) -> Option<Duration> {
        match self {
            Self::AtOnce => None,
            Self::Orderly => Some(ORDERLY),
            Self::Suspended => Some(SUSPENSION),
        }
    }
}

/// What a server is started with.
pub(super) struct Place<'a> {
    pub(super) programs: &'a Programs,
    pub(super) data: &'a Path,
    pub(super) sockets: &'a Path,
    pub(super) log: &'a Path,
    /// Settings for this start only.
    pub(super) options: &'a [&'a str],
}

/// Starts a server, in a process group of its own: a Ctrl-C in our terminal is not for it.
pub(super) fn spawn(host: &Host, place: &Place<'_>) -> Result<Process> {
    make_private_folder(place.sockets, &host.owner)?;
    let log = open_log(place.log)?;
    let errors = log.try_clone().map_err(failed("open", place.log))?;
    let program = place.programs.program("postgres");
    let settings = &host.settings;
    let mut command = host.owner.command(&program);
    command.arg("-D").arg(place.data);
    let options = [
        format!("unix_socket_directories={}", place.sockets.display()),
        "listen_addresses=".to_owned(),
        "port=5432".to_owned(),
        ORPHANED.to_owned(),
        format!("shared_buffers={}", settings.shared_buffers),
        format!("max_connections={}", settings.max_connections),
    ];
    for option in options.iter().map(String::as_str).chain(place.options.iter().copied()) {
        command.arg("-c").arg(option);
    }
    // It works in its data folder from the first moment: that is how its processes are recognised.
    command.current_dir(place.data).process_group(0).stdout(Stdio::from(log)).stderr(Stdio::from(errors));
    let child = command.spawn().map_err(failed("start", &program))?;
    let process = Process::open(child.id()).map_err(failed("watch", &program))?;
    effect::done("server started");
    Ok(process)
}

fn open_log(path: &Path) -> Result<File> {
    if fs::metadata(path).is_ok_and(|data| data.len() > LONGEST_LOG) {
        fs::rename(path, path.with_extension("old")).map_err(failed("rotate", path))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(failed("open", path))
}

/// Waits until the server says in its lock file that it accepts connections.
pub(super) async fn ready(process: &Process, data: &Path, limit: Duration) -> Result<()> {
    let says_so = async {
        while !process::lock(data).is_some_and(|lock| lock.pid == process.pid && lock.ready) {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::select! {
        () = says_so => Ok(()),
        () = process.exited() => Err(Error::unavailable("the server ended while it started; see its log")),
        () = tokio::time::sleep(limit) => Err(Error::unavailable("the server was not ready in time; see its log")),
    }
}

/// Ends a server: orderly, then at once, then by force. Returns when none of its processes is left.
pub(super) async fn stop(process: &Process, data: &Path, mut haste: watch::Receiver<Haste>, end: End) {
    if let Some(patience) = end.patience() {
        process.signal(Signal::INT);
        effect::done("server told to stop");
        tokio::select! {
            () = process.exited() => return,
            () = tokio::time::sleep(patience) => {}
            _ = haste.wait_for(|haste| *haste == Haste::Now) => {}
        }
    }
    process.signal(Signal::QUIT);
    effect::done("server told to stop at once");
    if tokio::time::timeout(IMMEDIATE, process.exited()).await.is_ok() {
        return;
    }
    process.signal(Signal::KILL);
    process.exited().await;
    process::clear(data, Duration::ZERO).await;
}

/// How long opening a session may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What a tenant set for a database or a path does not apply.
const OPTIONS: &str = "-c search_path=pg_catalog -c role=none -c default_transaction_read_only=off \
                       -c statement_timeout=60s -c lock_timeout=30s";

/// Connects as the control user.
pub(super) async fn connect(host: &Host, sockets: &Path, database: &str) -> Result<Client> {
    let mut config = tokio_postgres::Config::new();
    config
        .host_path(sockets)
        .port(5432)
        .user(CONTROL_USER)
        .password(host.secret()?)
        .dbname(database)
        .application_name("ootheca")
        .connect_timeout(CONNECT_TIMEOUT)
        .options(OPTIONS);
    let (client, connection) = config.connect(NoTls).await.map_err(|error| match error.as_db_error() {
        Some(refused) if refused.code().code() == "3D000" => Error::not_found("database"),
        Some(refused) if refused.code().code() == "53300" => {
            Error::unavailable("the SQL server has no free connection").because(error)
        }
        _ => Error::unavailable("can not connect to the SQL server").because(error),
    })?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "control connection ended");
        }
    });
    Ok(client)
}

/// Connects as the control user to a database of a tenant, whatever its name and encoding. Statements and
/// what is read of their answers must be ASCII.
pub(super) async fn enter(host: &Host, sockets: &Path, database: &Name) -> Result<Connection> {
    let (socket, password) = (socket(sockets), host.secret()?);
    let parameters = [
        ("user", CONTROL_USER.as_bytes()),
        ("database", database.bytes()),
        ("application_name", b"ootheca"),
        // No conversion: not every encoding can be converted to UTF-8.
        ("client_encoding", b"SQL_ASCII"),
        ("options", OPTIONS.as_bytes()),
    ];
    let opened = tokio::time::timeout(CONNECT_TIMEOUT, Connection::open(&socket, &parameters, password));
    let failed = || Error::unavailable(format!("can not connect to the database {database}"));
    match opened.await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(Failure::Refused(refused))) if refused.sqlstate == "3D000" => {
            Err(Error::not_found(format!("database {database}")))
        }
        Ok(Err(failure)) => Err(failed().because(failure)),
        Err(late) => Err(failed().because(late)),
    }
}

/// The path of the socket in its folder.
pub(super) fn socket(sockets: &Path) -> std::path::PathBuf {
    sockets.join(SOCKET)
}
