//! A PostgreSQL server process: start, readiness, connection, stop.

use super::copy::make_private_folder;
use super::{
    backup,
    binaries::Programs,
    connection::{Connection, ConnectionError},
    context::{CONTROL_USER, EngineContext, SOCKET, Shutdown},
    log,
    object::Name,
    owner::Owner,
    process::{self, Lock, Process},
    shared_memory,
};
use crate::files::failed;
use ootheca_durable::failpoint;
use ootheca_model::{Error, Result};
use rustix::process::Signal;
use std::{os::unix::process::CommandExt, path::Path, process::Stdio, time::Duration};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};
use tokio_postgres::{Client, NoTls, Socket, tls::NoTlsStream};

/// How long a fast shutdown may take before an immediate one.
const FAST_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for a suspension. Nothing waits for it, and a checkpoint makes the next start faster.
const SUSPEND_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an immediate shutdown may take before SIGKILL. PostgreSQL itself kills its children after five
/// seconds.
const IMMEDIATE_TIMEOUT: Duration = Duration::from_secs(6);
const POLL: Duration = Duration::from_millis(2);
/// Ends a statement soon after its client, the gateway, was killed.
const ORPHANED: &str = "client_connection_check_interval=2s";
/// The temporary files of one process, for example for sorting. What all sessions of a cluster have beyond this
/// counts as its storage.
pub(super) const MAX_TEMPORARY_BYTES: u64 = 1 << 30;

/// The WAL that a server keeps. More is only kept while a checkpoint is late; it counts as storage of the
/// cluster.
pub(super) const MAX_WAL_BYTES: u64 = 128 << 20;
/// The WAL that a replication slot can hold back.
const SLOT_WAL: &str = "max_slot_wal_keep_size=64MB";
/// Limits the queue of NOTIFY to 64 MiB, in pages. Exists since PostgreSQL 17.
const NOTIFY_QUEUE: &str = "max_notify_queue_pages=8192";

/// The mode of the folder of the socket decides who can connect: the user of the server, and for a short time the user of
/// the other nodes.
const SOCKET_MODE: &str = "unix_socket_permissions=0777";

/// How much more likely than others the kernel ends the session processes of a server, from 0 to 1000.
const SESSION_OOM_SCORE: &str = "500";

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopMode {
    /// PostgreSQL's immediate shutdown: sessions and transactions are aborted, and the next start runs
    /// recovery.
    Immediate,
    /// PostgreSQL's fast shutdown, with a checkpoint. Immediate if it takes too long.
    Fast,
    /// A fast shutdown with a longer time limit.
    Suspend,
}

impl StopMode {
    fn timeout(self) -> Option<Duration> {
        match self {
            Self::Immediate => None,
            Self::Fast => Some(FAST_TIMEOUT),
            Self::Suspend => Some(SUSPEND_TIMEOUT),
        }
    }
}

/// The parameters of a server start.
pub(super) struct LaunchSpec<'a> {
    pub(super) programs: &'a Programs,
    /// The owner of the data.
    pub(super) owner: &'a Owner,
    pub(super) data: &'a Path,
    pub(super) sockets: &'a Path,
    pub(super) log: &'a Path,
    /// Where the server archives its WAL; `None` if it does not.
    pub(super) spool: Option<&'a Path>,
    /// Whether the server can connect to the other nodes of its cluster.
    pub(super) connect: bool,
    /// Settings for this start only.
    pub(super) options: &'a [&'a str],
}

/// Starts a server in its own process group, so that Ctrl-C in a terminal does not reach it.
pub(super) fn spawn(context: &EngineContext, spec: &LaunchSpec<'_>) -> Result<Process> {
    make_private_folder(spec.sockets, spec.owner)?;
    if let Some(spool) = spec.spool {
        backup::prepare_spool(spool, spec.owner)?;
    }
    let log = log::open(spec.log)?;
    let errors = log.try_clone().map_err(failed("open", spec.log))?;
    let program = spec.programs.program("postgres");
    let settings = &context.settings;
    let mut command = match &context.sandbox {
        Some(sandbox) => sandbox.command(spec),
        None => spec.owner.command(&program),
    };
    command.arg("-D").arg(spec.data);
    let mut options = vec![
        format!("unix_socket_directories={}", spec.sockets.display()),
        SOCKET_MODE.to_owned(),
        "listen_addresses=".to_owned(),
        "port=5432".to_owned(),
        ORPHANED.to_owned(),
        format!("temp_file_limit={}MB", MAX_TEMPORARY_BYTES >> 20),
        format!("max_wal_size={}MB", MAX_WAL_BYTES >> 20),
        SLOT_WAL.to_owned(),
        format!("shared_buffers={}", settings.shared_buffers),
        format!("max_connections={}", settings.max_connections),
    ];
    if let Some(spool) = spec.spool {
        options.extend(backup::archive_options(spec.programs, spool));
    }
    for option in options.iter().map(String::as_str).chain(spec.options.iter().copied()) {
        command.arg("-c").arg(option);
    }
    if spec.programs.major >= 17 {
        command.arg("-c").arg(NOTIFY_QUEUE);
    }
    // If the machine runs out of memory, the kernel ends a session of a tenant before its server, and both
    // before the control plane.
    command
        .env("PG_OOM_ADJUST_FILE", "/proc/self/oom_score_adj")
        .env("PG_OOM_ADJUST_VALUE", SESSION_OOM_SCORE);
    // Processes are identified by their working directory, so it is set before the program starts.
    command.current_dir(spec.data).process_group(0).stdout(Stdio::from(log)).stderr(Stdio::from(errors));
    let child = command.spawn().map_err(failed("start", &program))?;
    let process = Process::open(child.id()).map_err(failed("watch", &program))?;
    failpoint::reach("server started");
    Ok(process)
}

/// Waits until the server's lock file says that it accepts connections.
pub(super) async fn ready(process: &Process, data: &Path, limit: Duration) -> Result<()> {
    reached(process, data, limit, |lock| lock.ready).await
}

/// Waits until the server is about to start its recovery, or is further.
pub(super) async fn starting(process: &Process, data: &Path, limit: Duration) -> Result<()> {
    reached(process, data, limit, |lock| lock.reported).await
}

/// Waits until the server's lock file says what is wanted.
async fn reached(
    process: &Process,
    data: &Path,
    limit: Duration,
    is_wanted: impl Fn(&Lock) -> bool,
) -> Result<()> {
    let says_so = async {
        while !process::lock(data).is_some_and(|lock| lock.pid == process.pid && is_wanted(&lock)) {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::select! {
        () = says_so => Ok(()),
        () = process.exited() => Err(Error::unavailable("the server stopped during startup; see its log")),
        () = tokio::time::sleep(limit) => Err(Error::unavailable("the server did not become ready in time; see its log")),
    }
}

/// Stops a server: first as `mode` says, then immediately, then with SIGKILL. Returns when none of its
/// processes is left.
pub(super) async fn stop(
    process: &Process,
    data: &Path,
    mut shutdown: watch::Receiver<Shutdown>,
    mode: StopMode,
) {
    if let Some(timeout) = mode.timeout() {
        process.signal(Signal::INT);
        failpoint::reach("server told to stop");
        tokio::select! {
            () = process.exited() => return,
            () = tokio::time::sleep(timeout) => {}
            _ = shutdown.wait_for(|shutdown| *shutdown == Shutdown::Immediate) => {}
        }
    }
    process.signal(Signal::QUIT);
    failpoint::reach("server told to stop at once");
    if tokio::time::timeout(IMMEDIATE_TIMEOUT, process.exited()).await.is_ok() {
        return;
    }
    process.signal(Signal::KILL);
    process.exited().await;
    process::clear(data, Duration::ZERO).await;
    // The next start would remove it, but there may be none.
    shared_memory::free(data);
}

/// The time limit for opening a session.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit for each statement, which the server enforces.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);
/// The same for statements that wait for a checkpoint.
pub(super) const CHECKPOINT_STATEMENT_TIMEOUT: Duration = Duration::from_secs(600);
/// Applies it to the rest of a session.
pub(super) const SET_CHECKPOINT_STATEMENT_TIMEOUT: &str = "SET statement_timeout = '10min'";
/// Overrides what a tenant may have set for a database or a role.
const OPTIONS: &str = "-c search_path=pg_catalog -c role=none -c default_transaction_read_only=off \
                       -c statement_timeout=60s -c lock_timeout=30s";

/// The part of a session that reads and writes. It has to be polled while its client is in use.
pub(super) type ControlConnection = tokio_postgres::Connection<Socket, NoTlsStream>;

/// Connects as the control user.
pub(super) async fn connect(context: &EngineContext, sockets: &Path, database: &str) -> Result<Client> {
    connect_with(&context.secret_of(sockets)?, sockets, database).await
}

/// Connects as the control user with this password.
pub(super) async fn connect_with(password: &str, sockets: &Path, database: &str) -> Result<Client> {
    let (client, connection) = open_with(password, sockets, database).await?;
    tokio::spawn(ended(connection));
    Ok(client)
}

async fn ended(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "control connection ended");
    }
}

/// A connection that is polled by a task of its own until it is taken back.
pub(super) struct PolledConnection {
    task: JoinHandle<Option<ControlConnection>>,
    take: oneshot::Sender<()>,
}

impl PolledConnection {
    pub(super) fn new(mut connection: ControlConnection) -> Self {
        let (take, taken) = oneshot::channel();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = ended(&mut connection) => None,
                Ok(()) = taken => Some(connection),
            }
        });
        Self { task, take }
    }

    /// The connection, unless it has ended.
    pub(super) async fn take(self) -> Option<ControlConnection> {
        // An error means that the task has ended.
        let _ = self.take.send(());
        self.task.await.ok().flatten()
    }
}

/// Connects as the control user. The caller polls the connection.
pub(super) async fn open(
    context: &EngineContext,
    sockets: &Path,
    database: &str,
) -> Result<(Client, ControlConnection)> {
    open_with(&context.secret_of(sockets)?, sockets, database).await
}

async fn open_with(password: &str, sockets: &Path, database: &str) -> Result<(Client, ControlConnection)> {
    let mut config = tokio_postgres::Config::new();
    config
        .host_path(sockets)
        .port(5432)
        .user(CONTROL_USER)
        .password(password)
        .dbname(database)
        .application_name("ootheca")
        .options(OPTIONS);
    // The time limit of the driver itself does not include the login.
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, config.connect(NoTls)).await;
    let connected = connected
        .map_err(|late| Error::unavailable("the SQL server did not respond in time").because(late))?;
    connected.map_err(|error| match error.as_db_error() {
        Some(refused) if refused.code().code() == "3D000" => Error::not_found("database"),
        Some(refused) if refused.code().code() == "53300" => {
            Error::unavailable("the SQL server has no free connection").because(error)
        }
        _ => Error::unavailable("cannot connect to the SQL server").because(error),
    })
}

/// Connects as the control user to a tenant's database, whatever its name and encoding. Statements and the
/// values that are read must be ASCII.
pub(super) async fn enter(context: &EngineContext, sockets: &Path, database: &Name) -> Result<Connection> {
    let (socket, password) = (socket(sockets), context.secret_of(sockets)?);
    let parameters = [
        ("user", CONTROL_USER.as_bytes()),
        ("database", database.bytes()),
        ("application_name", b"ootheca"),
        // No conversion, because not every encoding can be converted to UTF-8.
        ("client_encoding", b"SQL_ASCII"),
        ("options", OPTIONS.as_bytes()),
    ];
    let failed = || Error::unavailable(format!("cannot connect to the database {database}"));
    match Connection::open(&socket, &parameters, &password).await {
        Ok(connection) => Ok(connection),
        Err(ConnectionError::Refused(refused)) if refused.sqlstate == "3D000" => {
            Err(Error::not_found(format!("database {database}")))
        }
        Err(failure) => Err(failed().because(failure)),
    }
}

/// The error for a server that does not accept connections.
pub(super) fn not_ready() -> Error {
    Error::unavailable("the cluster's SQL server is not ready")
}

pub(super) fn socket(sockets: &Path) -> std::path::PathBuf {
    sockets.join(SOCKET)
}
