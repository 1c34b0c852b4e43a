//! Stores rows in SQLite, on one machine.
//!
//! One thread owns the only connection that writes. It runs all queued work in one transaction, each piece
//! behind a savepoint. A piece that fails does not affect the others, and many callers share one sync to
//! disk. Callers get their results only after the transaction is durable.

use crate::{
    Changed, Kind,
    backend::Backend,
    migrations,
    transaction::{self, SqlTransaction, StatementError, Work, WorkResult},
    value::{Record, Value},
};
use async_trait::async_trait;
use futures_util::FutureExt;
use ootheca_durable::failpoint;
use ootheca_model::{Error, Result};
use rusqlite::{
    CachedStatement, Connection, ErrorCode, OpenFlags, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::{broadcast, oneshot};

/// The maximum number of pieces of work in one transaction.
const MAX_JOBS: usize = 128;
/// The number of connections that are kept for reads.
const READERS: usize = 8;

type Job = (Work, oneshot::Sender<Result<WorkResult>>);

/// An open database file.
pub(crate) struct Sqlite {
    path: PathBuf,
    readers: Mutex<Vec<Connection>>,
    jobs: Option<Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    changes: broadcast::Sender<Changed>,
    stamps: Arc<Stamps>,
}

/// For each kind, the number of changes, including changes of only the revision, since the file was opened.
type Stamps = [AtomicU64; Kind::ALL.len()];

impl Sqlite {
    /// Opens the file. Creates it and migrates its schema if necessary.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed =
            |error: std::io::Error| Error::internal(format!("store: {}", path.display())).because(error);
        // Created here, so that the file is never readable by other users.
        OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(failed)?;
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        migrate(&mut connection)?;
        let (changes, _) = broadcast::channel(4096);
        let (jobs, waiting) = channel();
        let hints = changes.clone();
        let stamps = Arc::new(Stamps::default());
        let changed = stamps.clone();
        let writer = thread::Builder::new().name("store".to_owned());
        let writer = writer.spawn(move || write(connection, &waiting, &hints, &changed)).map_err(failed)?;
        let readers = Mutex::new(Vec::new());
        Ok(Self { path: path.to_owned(), readers, jobs: Some(jobs), writer: Some(writer), changes, stamps })
    }

    /// Opens an existing file for reading only. Does not migrate the schema.
    pub(crate) fn open_to_read(path: &Path) -> Result<Self> {
        if !path.is_file() {
            return Err(Error::not_found(format!("store: {}", path.display())));
        }
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let version = connection.query_row(migrations::VERSION, [], |row| row.get::<_, Option<i64>>(0));
        let version = version
            .map_err(|error| Error::internal("store: cannot read the schema version").because(error))?;
        migrations::check(version.unwrap_or(0))?;
        let (changes, _) = broadcast::channel(1);
        let (readers, stamps) = (Mutex::new(vec![connection]), Arc::new(Stamps::default()));
        Ok(Self { path: path.to_owned(), readers, jobs: None, writer: None, changes, stamps })
    }

    fn reader(&self) -> Result<Connection> {
        let kept = self.readers.lock().map_or(None, |mut readers| readers.pop());
        kept.map_or_else(|| connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY), Ok)
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl Backend for Sqlite {
    const ONE_OF: &'static str = "IN (SELECT value FROM json_each(?))";

    /// Reads on the calling task, because a lookup takes less time than passing it to another thread.
    async fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Record>> {
        let reader = self.reader()?;
        let records = select(&reader, sql, params).map_err(fatal);
        if let Ok(mut readers) = self.readers.lock()
            && readers.len() < READERS
        {
            readers.push(reader);
        }
        records
    }

    async fn transact(&self, work: Work) -> Result<WorkResult> {
        let gone = || Error::unavailable("store: the writer has stopped");
        let (answer, done) = oneshot::channel();
        self.jobs.as_ref().ok_or_else(gone)?.send((work, answer)).map_err(|_| gone())?;
        done.await.map_err(|_| gone())?
    }

    /// Moves the write-ahead log into the file.
    async fn close(&self) -> Result<()> {
        let failed = |error| Error::unavailable("store: checkpoint failed").because(error);
        if let Ok(mut readers) = self.readers.lock() {
            readers.clear();
        }
        let connection = connect(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let busy: i64 =
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(failed)?;
        if busy == 0 {
            Ok(())
        } else {
            Err(Error::unavailable("store: checkpoint failed: the database is in use"))
        }
    }

    fn changes(&self) -> broadcast::Receiver<Changed> {
        self.changes.subscribe()
    }

    fn stamp(&self, kind: Kind) -> Option<u64> {
        Some(self.stamps[kind as usize].load(Ordering::Acquire))
    }
}

pub(crate) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let failed = |error| Error::internal(format!("store: cannot open {}", path.display())).because(error);
    let connection =
        Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    let pragmas = if flags.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) {
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
    } else {
        "PRAGMA mmap_size = 67108864;"
    };
    connection.execute_batch(pragmas).map_err(failed)?;
    Ok(connection)
}

pub(crate) fn migrate(connection: &mut Connection) -> Result<()> {
    let failed = |error| Error::internal("store: migration failed").because(error);
    let transaction = connection.transaction().map_err(failed)?;
    transaction.execute_batch(migrations::MIGRATIONS_TABLE).map_err(failed)?;
    let version: Option<i64> =
        transaction.query_row(migrations::VERSION, [], |row| row.get(0)).map_err(failed)?;
    for (number, step) in migrations::after(version.unwrap_or(0), "TEXT")? {
        step.iter().try_for_each(|sql| transaction.execute_batch(sql)).map_err(failed)?;
        transaction.execute(&sqlite(migrations::TAKEN), [number]).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// The main loop of the writer thread.
fn write(
    mut connection: Connection,
    waiting: &Receiver<Job>,
    changes: &broadcast::Sender<Changed>,
    stamps: &Stamps,
) {
    while let Ok(first) = waiting.recv() {
        let jobs: Vec<Job> = std::iter::once(first).chain(waiting.try_iter().take(MAX_JOBS - 1)).collect();
        let results = run_jobs(&mut connection, &jobs);
        if results.iter().any(Result::is_ok) {
            failpoint::reach("store commit");
        }
        for ((_, answer), result) in jobs.into_iter().zip(results) {
            let (hints, touched) =
                result.as_ref().map_or((&[][..], &[][..]), |done| (&done.hints, &done.touched));
            for kind in hints.iter().map(|hint| hint.kind).chain(touched.iter().copied()) {
                stamps[kind as usize].fetch_add(1, Ordering::Release);
            }
            for hint in hints {
                // There may be no receiver, or one that is too slow. Hints may be lost.
                drop(changes.send(hint.clone()));
            }
            let _ = answer.send(result);
        }
    }
}

/// Runs all jobs in one transaction.
fn run_jobs(connection: &mut Connection, jobs: &[Job]) -> Vec<Result<WorkResult>> {
    let all = |message: &str| jobs.iter().map(|_| Err(Error::unavailable(message))).collect();
    if connection.execute_batch("BEGIN IMMEDIATE").is_err() {
        return all("store: busy");
    }
    let mut results = Vec::with_capacity(jobs.len());
    for (work, _) in jobs {
        results.push(run_job(connection, work));
        // Some failures, such as a full disk, end the whole transaction.
        if connection.is_autocommit() {
            tracing::error!(error = ?results.last(), "store: transaction aborted");
            return all("store: the change could not be made durable");
        }
    }
    match connection.execute_batch("COMMIT") {
        Ok(()) => results,
        Err(error) => {
            tracing::error!(%error, "store: commit failed");
            let _ = connection.execute_batch("ROLLBACK");
            all("store: the change could not be made durable")
        }
    }
}

/// Runs one job behind a savepoint.
fn run_job(connection: &mut Connection, work: &Work) -> Result<WorkResult> {
    connection.execute_batch("SAVEPOINT piece").map_err(|error| fatal(error.into()))?;
    // Every statement completes immediately, so the future is ready at the first poll.
    let done = transaction::run(&mut SqliteTransaction(connection), work).now_or_never();
    let result = done.unwrap_or_else(|| Err(Error::internal("store: a statement did not complete").into()));
    let end =
        if result.is_ok() && work.commits() { "RELEASE piece" } else { "ROLLBACK TO piece; RELEASE piece" };
    connection.execute_batch(end).map_err(|error| fatal(error.into()))?;
    result.map_err(fatal)
}

/// The writing connection, inside a transaction.
struct SqliteTransaction<'a>(&'a mut Connection);

impl SqlTransaction for SqliteTransaction<'_> {
    async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, StatementError> {
        let changed = prepare(self.0, sql)?.execute(params_from_iter(params))?;
        Ok(changed as u64)
    }

    async fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Record>, StatementError> {
        select(self.0, sql, params)
    }
}

fn select(connection: &Connection, sql: &str, params: &[Value]) -> Result<Vec<Record>, StatementError> {
    let mut statement = prepare(connection, sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query(params_from_iter(params))?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let record = (0..columns).map(|column| {
            Ok(match row.get_ref(column)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number) => Value::Int(number),
                other => Value::Text(other.as_str().map_err(rusqlite::Error::from)?.to_owned()),
            })
        });
        records.push(record.collect::<Result<Record, rusqlite::Error>>()?);
    }
    Ok(records)
}

fn prepare<'a>(connection: &'a Connection, sql: &str) -> Result<CachedStatement<'a>, rusqlite::Error> {
    connection.prepare_cached(&sqlite(sql))
}

pub(crate) fn sqlite(sql: &str) -> String {
    sql.replace('$', "?")
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl From<rusqlite::Error> for StatementError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => StatementError::UniqueViolation,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                StatementError::SerializationFailure(error.to_string())
            }
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => {
                StatementError::Other(Error::unavailable("store: statement failed").because(error))
            }
            _ => StatementError::Other(Error::internal("store: statement failed").because(error)),
        }
    }
}

fn fatal(failure: StatementError) -> Error {
    match failure {
        StatementError::Other(error) => error,
        StatementError::SerializationFailure(message) => {
            Error::unavailable(format!("store: busy: {message}"))
        }
        StatementError::UniqueViolation => Error::internal("store: unexpected unique violation"),
    }
}
