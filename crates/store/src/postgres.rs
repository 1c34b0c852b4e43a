//! Any server that speaks PostgreSQL's protocol: the store of several machines.
//!
//! Serializable transactions; work that lost a race is done again as a whole. Nothing beyond the plain
//! protocol is used: no advisory locks, no notifications.

use crate::{
    Changed, Kind,
    backend::Backend,
    migrations,
    transaction::{self, Done, Failure, Session, Work},
    value::{Columns, Record, Value},
};
use async_trait::async_trait;
use bytes::BytesMut;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts, Transaction};
use ootheca_model::{Error, ErrorKind, Result, effect};
use std::{collections::BTreeSet, error::Error as _, time::Duration};
use tokio::sync::{Mutex, MutexGuard, broadcast};
use tokio_postgres::{
    Config, IsolationLevel, NoTls, Row,
    config::SslMode,
    error::{DbError, SqlState},
    types::{IsNull, ToSql, Type, to_sql_checked},
};

/// How often work that lost a race is done again.
const ATTEMPTS: u32 = 25;
const CONNECTIONS: usize = 8;
const LINES: u128 = 64;

/// A pool of connections to a server.
pub(crate) struct Postgres {
    pool: Pool,
    changes: broadcast::Sender<Changed>,
    /// Work that appends to the audit log or the events of one organization always collides, since each
    /// has the number behind the one before. What this server does itself stands in line instead.
    lines: Vec<Mutex<()>>,
}

impl Postgres {
    /// Connects and brings the schema up to date.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let store = Self::connect(url)?;
        store.migrate().await?;
        Ok(store)
    }

    /// The same for a reader, who leaves the schema as it is.
    pub(crate) async fn open_to_read(url: &str) -> Result<Self> {
        let store = Self::connect(url)?;
        let version = store.query(migrations::VERSION, &[]).await?.pop();
        let version = version.map(|record| Columns::of(record).optional_int()).transpose()?.flatten();
        migrations::check(version.unwrap_or(0))?;
        Ok(store)
    }

    fn connect(url: &str) -> Result<Self> {
        // The URL may hold a password, so the error does not repeat it.
        let config: Config = url.parse().map_err(|error| Error::invalid("store", error))?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(Error::invalid(
                "store",
                "sslmode=require is not built yet: use a local server or a tunnel",
            ));
        }
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let waits = Some(Duration::from_secs(10));
        let pool = Pool::builder(Manager::from_config(config, NoTls, recycling))
            .max_size(CONNECTIONS)
            .timeouts(Timeouts { wait: waits, create: waits, recycle: waits })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::internal("store: pool").because(error))?;
        let (changes, _) = broadcast::channel(4096);
        Ok(Self { pool, changes, lines: (0..LINES).map(|_| Mutex::new(())).collect() })
    }

    async fn connection(&self) -> Result<deadpool_postgres::Object> {
        self.pool.get().await.map_err(|error| Error::unavailable("store: can not connect").because(error))
    }

    /// Several servers may start at once: a step that another one took meanwhile is no error.
    async fn migrate(&self) -> Result<()> {
        let mut connection = self.connection().await?;
        let mut attempt = 0;
        loop {
            match migrate(&mut connection).await {
                Ok(()) => return Ok(()),
                Err(Failure::Other(error)) => return Err(error),
                Err(_) if attempt < ATTEMPTS => attempt += 1,
                Err(failure) => return Err(fatal(failure)),
            }
            tokio::time::sleep(pause(attempt)).await;
        }
    }

    /// Places in the lines, taken in one order so that nobody waits in a circle.
    async fn line_up(&self, work: &Work) -> Vec<MutexGuard<'_, ()>> {
        let organizations = work.organizations();
        let lines = organizations.iter().map(|organization| organization.0.as_u128() % LINES);
        let mut places = Vec::new();
        for line in lines.collect::<BTreeSet<_>>() {
            places.push(self.lines[line as usize].lock().await);
        }
        places
    }

    async fn attempt(&self, work: &Work) -> Result<Done, Failure> {
        let mut connection = self.connection().await?;
        let transaction =
            connection.build_transaction().isolation_level(IsolationLevel::Serializable).start().await?;
        let mut open = Open(transaction);
        let done = transaction::run(&mut open, work).await?;
        open.0.commit().await?;
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

    async fn transact(&self, work: Work) -> Result<Done> {
        let _line = self.line_up(&work).await;
        let mut attempt = 0;
        loop {
            match self.attempt(&work).await {
                Ok(done) => {
                    effect::done("store commit");
                    // Nobody listens, or too slowly: hints may be lost.
                    done.hints.iter().for_each(|hint| drop(self.changes.send(hint.clone())));
                    return Ok(done);
                }
                Err(Failure::Again(_)) if attempt < ATTEMPTS => attempt += 1,
                Err(failure) => return Err(fatal(failure)),
            }
            tokio::time::sleep(pause(attempt)).await;
        }
    }

    fn changes(&self) -> broadcast::Receiver<Changed> {
        self.changes.subscribe()
    }

    fn stamp(&self, _kind: Kind) -> Option<u64> {
        None
    }
}

/// Longer each time, and never the same for two that collide.
fn pause(attempt: u32) -> Duration {
    Duration::from_micros(u64::from(attempt) * rand::random_range(500..2500))
}

/// The type of text that compares byte by byte here. Servers that do not know the collation `"C"` for
/// plain text (CockroachDB) compare so anyway, which is checked.
async fn byte_order(connection: &deadpool_postgres::Object) -> Result<&'static str, Failure> {
    const COLLATED: &str = r#"SELECT CAST('a' AS TEXT) < CAST('B' AS TEXT) COLLATE "C""#;
    const PLAIN: &str =
        "SELECT CAST('a' AS TEXT) < CAST('B' AS TEXT) OR CAST('_' AS TEXT) < CAST('A' AS TEXT)";
    if connection.query_one(COLLATED, &[]).await.is_ok() {
        return Ok(r#"TEXT COLLATE "C""#);
    }
    if connection.query_one(PLAIN, &[]).await?.try_get(0)? {
        let rule = "the server must compare text byte by byte: make the database with LC_COLLATE 'C'";
        return Err(Error::precondition(format!("store: {rule}")).into());
    }
    Ok("TEXT")
}

async fn migrate(connection: &mut deadpool_postgres::Object) -> Result<(), Failure> {
    let text = byte_order(connection).await?;
    let transaction =
        connection.build_transaction().isolation_level(IsolationLevel::Serializable).start().await?;
    transaction.batch_execute(migrations::RECORD).await?;
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

/// An open transaction.
struct Open<'a>(Transaction<'a>);

impl Session for Open<'_> {
    async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, Failure> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.execute(&statement, &references(params)).await?)
    }

    async fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Record>, Failure> {
        let statement = self.0.prepare_cached(sql).await?;
        let rows = self.0.query(&statement, &references(params)).await?;
        rows.iter().map(|row| record(row).map_err(Failure::from)).collect()
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

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(server) = error.as_db_error() else {
            let kind =
                if error.is_closed() || error.source().is_some_and(|cause| cause.is::<std::io::Error>()) {
                    ErrorKind::Unavailable
                } else {
                    ErrorKind::Internal
                };
            return Failure::Other(Error::new(kind, "store: no answer").because(error));
        };
        let code = server.code();
        // Its detail may quote what is in the rows, so that is left out.
        let message = format!("store: {} (SQLSTATE {})", server.message(), code.code());
        match *code {
            SqlState::UNIQUE_VIOLATION if of_a_row(server) => Failure::Taken,
            SqlState::UNIQUE_VIOLATION
            | SqlState::DUPLICATE_TABLE
            | SqlState::T_R_SERIALIZATION_FAILURE
            | SqlState::T_R_DEADLOCK_DETECTED => Failure::Again(message),
            _ if ["08", "53", "57"].iter().any(|class| code.code().starts_with(class)) => {
                Failure::Other(Error::unavailable(message))
            }
            _ => Failure::Other(Error::internal(message)),
        }
    }
}

/// Whether the key is one of our rows. Two migrations at once collide in the server's own catalogue, and
/// two servers in the next number of an audit log: doing it again helps there.
fn of_a_row(error: &DbError) -> bool {
    error.table().is_none_or(|table| table == "entries")
}

fn fatal(failure: Failure) -> Error {
    match failure {
        Failure::Other(error) => error,
        Failure::Again(message) => Error::unavailable(format!("store: busy: {message}")),
        Failure::Taken => Error::internal("store: a key is taken"),
    }
}
