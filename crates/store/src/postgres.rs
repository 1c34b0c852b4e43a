//! Stores rows in a server that speaks the PostgreSQL protocol, so that several machines can share them.
//!
//! Transactions are serializable, and work is repeated as a whole after a serialization failure. Only the
//! plain protocol is used: no advisory locks and no notifications.

use crate::{
    Changed, Kind,
    backend::Backend,
    migrations,
    transaction::{self, SqlTransaction, StatementError, Work, WorkResult},
    value::{Columns, Record, Value},
};
use async_trait::async_trait;
use bytes::BytesMut;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts, Transaction};
use ootheca_durable::failpoint;
use ootheca_model::{Error, ErrorKind, Result};
use std::{collections::BTreeSet, error::Error as _, time::Duration};
use tokio::sync::{Mutex, MutexGuard, broadcast};
use tokio_postgres::{
    Config, IsolationLevel, NoTls, Row,
    config::SslMode,
    error::{DbError, SqlState},
    types::{IsNull, ToSql, Type, to_sql_checked},
};

/// The maximum number of attempts.
const ATTEMPTS: u32 = 25;
const CONNECTIONS: usize = 8;
const LINES: u128 = 64;

/// A pool of connections to a server.
pub(crate) struct Postgres {
    pool: Pool,
    changes: broadcast::Sender<Changed>,
    /// Concurrent work that appends to the audit log or the events of one organization always conflicts,
    /// because each entry gets the next number. These locks serialize such work within this process.
    organization_locks: Vec<Mutex<()>>,
}

impl Postgres {
    /// Connects and migrates the schema.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let store = Self::connect(url)?;
        store.migrate().await?;
        Ok(store)
    }

    /// Connects for reading only. Does not migrate the schema.
    pub(crate) async fn open_to_read(url: &str) -> Result<Self> {
        let store = Self::connect(url)?;
        let version = store.query(migrations::VERSION, &[]).await?.pop();
        let version = version.map(|record| Columns::of(record).optional_int()).transpose()?.flatten();
        migrations::check(version.unwrap_or(0))?;
        Ok(store)
    }

    fn connect(url: &str) -> Result<Self> {
        // The URL may contain a password, so the error does not repeat it.
        let config: Config = url.parse().map_err(|error| Error::invalid("store", error))?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(Error::invalid(
                "store",
                "sslmode=require is not implemented; use a local server or a tunnel",
            ));
        }
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let waits = Some(Duration::from_secs(10));
        let pool = Pool::builder(Manager::from_config(config, NoTls, recycling))
            .max_size(CONNECTIONS)
            .timeouts(Timeouts { wait: waits, create: waits, recycle: waits })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::internal("store: cannot create the connection pool").because(error))?;
        let (changes, _) = broadcast::channel(4096);
        Ok(Self { pool, changes, organization_locks: (0..LINES).map(|_| Mutex::new(())).collect() })
    }

    async fn connection(&self) -> Result<deadpool_postgres::Object> {
        self.pool.get().await.map_err(|error| Error::unavailable("store: cannot connect").because(error))
    }

    /// Several servers may start at once, so a migration that another server applied in the meantime is not
    /// an error.
    async fn migrate(&self) -> Result<()> {
        let mut connection = self.connection().await?;
        let mut attempt = 0;
        loop {
            match migrate(&mut connection).await {
                Ok(()) => return Ok(()),
                Err(StatementError::Other(error)) => return Err(error),
                Err(_) if attempt < ATTEMPTS => attempt += 1,
                Err(failure) => return Err(fatal(failure)),
            }
            tokio::time::sleep(retry_delay(attempt)).await;
        }
    }

    /// Acquires the locks of the organizations in a fixed order, which prevents deadlocks.
    async fn lock_organizations(&self, work: &Work) -> Vec<MutexGuard<'_, ()>> {
        let organizations = work.organizations();
        let organization_locks = organizations.iter().map(|organization| organization.0.as_u128() % LINES);
        let mut places = Vec::new();
        for line in organization_locks.collect::<BTreeSet<_>>() {
            places.push(self.organization_locks[line as usize].lock().await);
        }
        places
    }

    async fn attempt(&self, work: &Work) -> Result<WorkResult, StatementError> {
        let mut connection = self.connection().await?;
        let transaction =
            connection.build_transaction().isolation_level(IsolationLevel::Serializable).start().await?;
        let mut open = PostgresTransaction(transaction);
        let done = transaction::run(&mut open, work).await?;
        if work.commits() {
            open.0.commit().await?;
        } else {
            open.0.rollback().await?;
        }
        Ok(done)
    }
}

#[async_trait]
impl Backend for Postgres {
    const ONE_OF: &'static str =
        "= ANY(ARRAY(SELECT json_array_elements_text(CAST(CAST(? AS TEXT) AS JSON))))";

    async fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Record>> {
        let connection = self.connection().await?;
        let select = async {
            let statement = connection.prepare_cached(sql).await?;
            connection.query(&statement, &references(params)).await
        };
        let rows = select.await.map_err(|error| fatal(error.into()))?;
        rows.iter().map(|row| record(row).map_err(|error| fatal(error.into()))).collect()
    }

    async fn transact(&self, work: Work) -> Result<WorkResult> {
        let _line = self.lock_organizations(&work).await;
        let mut attempt = 0;
        loop {
            match self.attempt(&work).await {
                Ok(done) => {
                    failpoint::reach("store commit");
                    // There may be no receiver, or one that is too slow. Hints may be lost.
                    done.hints.iter().for_each(|hint| drop(self.changes.send(hint.clone())));
                    return Ok(done);
                }
                Err(StatementError::SerializationFailure(_)) if attempt < ATTEMPTS => attempt += 1,
                Err(failure) => return Err(fatal(failure)),
            }
            tokio::time::sleep(retry_delay(attempt)).await;
        }
    }

    fn changes(&self) -> broadcast::Receiver<Changed> {
        self.changes.subscribe()
    }

    fn stamp(&self, _kind: Kind) -> Option<u64> {
        None
    }
}

/// An increasing delay, with jitter so that conflicting transactions do not retry at the same time.
fn retry_delay(attempt: u32) -> Duration {
    Duration::from_micros(u64::from(attempt) * rand::random_range(500..2500))
}

/// Returns the type of text that is compared bytewise. Servers that do not support the collation `"C"` for
/// plain text, such as CockroachDB, compare bytewise anyway, which is checked.
async fn bytewise_text_type(connection: &deadpool_postgres::Object) -> Result<&'static str, StatementError> {
    const COLLATED: &str = r#"SELECT CAST('a' AS TEXT) < CAST('B' AS TEXT) COLLATE "C""#;
    const PLAIN: &str =
        "SELECT CAST('a' AS TEXT) < CAST('B' AS TEXT) OR CAST('_' AS TEXT) < CAST('A' AS TEXT)";
    if connection.query_one(COLLATED, &[]).await.is_ok() {
        return Ok(r#"TEXT COLLATE "C""#);
    }
    if connection.query_one(PLAIN, &[]).await?.try_get(0)? {
        let rule = "the server must compare text bytewise; create the database with LC_COLLATE 'C'";
        return Err(Error::precondition(format!("store: {rule}")).into());
    }
    Ok("TEXT")
}

async fn migrate(connection: &mut deadpool_postgres::Object) -> Result<(), StatementError> {
    let text = bytewise_text_type(connection).await?;
    let transaction =
        connection.build_transaction().isolation_level(IsolationLevel::Serializable).start().await?;
    transaction.batch_execute(migrations::MIGRATIONS_TABLE).await?;
    let version: Option<i64> = transaction.query_one(migrations::VERSION, &[]).await?.try_get(0)?;
    for (number, step) in migrations::after(version.unwrap_or(0), text)? {
        for sql in &step {
            transaction.batch_execute(sql).await?;
        }
        transaction.execute(migrations::TAKEN, &[&number]).await?;
    }
    transaction.commit().await?;
    Ok(())
}

struct PostgresTransaction<'a>(Transaction<'a>);

impl SqlTransaction for PostgresTransaction<'_> {
    async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, StatementError> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.execute(&statement, &references(params)).await?)
    }

    async fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Record>, StatementError> {
        let statement = self.0.prepare_cached(sql).await?;
        let rows = self.0.query(&statement, &references(params)).await?;
        rows.iter().map(|row| record(row).map_err(StatementError::from)).collect()
    }
}

fn references(params: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

fn record(row: &Row) -> Result<Record, tokio_postgres::Error> {
    let value = |(column, kind): (usize, &Type)| {
        Ok(if *kind == Type::INT8 {
            row.try_get::<_, Option<i64>>(column)?.map_or(Value::Null, Value::Int)
        } else {
            row.try_get::<_, Option<String>>(column)?.map_or(Value::Null, Value::Text)
        })
    };
    row.columns().iter().map(|column| column.type_()).enumerate().map(value).collect()
}

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(number) => number.to_sql(kind, out),
            Value::Text(text) => text.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        <i64 as ToSql>::accepts(kind) || <&str as ToSql>::accepts(kind)
    }

    to_sql_checked!();
}

impl From<tokio_postgres::Error> for StatementError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(server) = error.as_db_error() else {
            let kind =
                if error.is_closed() || error.source().is_some_and(|cause| cause.is::<std::io::Error>()) {
                    ErrorKind::Unavailable
                } else {
                    ErrorKind::Internal
                };
            return StatementError::Other(Error::new(kind, "store: no response").because(error));
        };
        let code = server.code();
        // The detail is omitted because it may quote values of rows.
        let message = format!("store: {} (SQLSTATE {})", server.message(), code.code());
        match *code {
            SqlState::UNIQUE_VIOLATION if is_row_key(server) => StatementError::UniqueViolation,
            SqlState::UNIQUE_VIOLATION
            | SqlState::DUPLICATE_TABLE
            | SqlState::T_R_SERIALIZATION_FAILURE
            | SqlState::T_R_DEADLOCK_DETECTED => StatementError::SerializationFailure(message),
            _ if ["08", "53", "57"].iter().any(|class| code.code().starts_with(class)) => {
                StatementError::Other(Error::unavailable(message))
            }
            _ => StatementError::Other(Error::internal(message)),
        }
    }
}

/// Whether the violated constraint belongs to one of Ootheca's row keys. Concurrent migrations conflict in
/// the server's own catalog, and concurrent servers conflict in the next number of an audit log. Repeating
/// the work resolves both.
fn is_row_key(error: &DbError) -> bool {
    error.table().is_none_or(|table| table == "entries")
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
