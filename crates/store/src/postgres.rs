//! Any server that speaks PostgreSQL's protocol: the store of several machines.
//!
//! Serializable transactions; work that lost a race is done again as a whole. Nothing beyond the plain
//! protocol is used: no advisory locks, no notifications.

use crate::{
    Changed,
    backend::Backend,
    migrations,
    transaction::{self, Done, Failure, Session, Work},
    value::{Record, Value},
};
use async_trait::async_trait;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts, Transaction};
use ootheca_model::{Error, Result, effect};
use std::{error::Error as _, time::Duration};
use tokio::sync::broadcast;
use tokio_postgres::{
    Config, IsolationLevel, NoTls, Row,
    config::SslMode,
    error::SqlState,
    types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked},
};

/// How often work that lost a race is done again.
const ATTEMPTS: u32 = 25;
const CONNECTIONS: usize = 8;

/// A pool of connections to a server.
pub(crate) struct Postgres {
    pool: Pool,
    changes: broadcast::Sender<Changed>,
}

impl Postgres {
    /// Connects and brings the schema up to date.
    pub(crate) async fn open(url: &str) -> Result<Self> {
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
        let store = Self { pool, changes };
        store.migrate().await?;
        Ok(store)
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
        let mut attempt = 0;
        loop {
            match self.attempt(&work).await {
                Ok(done) => {
                    effect::done("store commit");
                    transaction::hints(&work).into_iter().for_each(|hint| drop(self.changes.send(hint)));
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
}

/// Longer each time, and never the same for two that collide.
fn pause(attempt: u32) -> Duration {
    Duration::from_micros(u64::from(attempt) * rand::random_range(500..2500))
}

async fn migrate(connection: &mut deadpool_postgres::Object) -> Result<(), Failure> {
    let transaction =
        connection.build_transaction().isolation_level(IsolationLevel::Serializable).start().await?;
    transaction.batch_execute(migrations::RECORD).await?;
    let version: Option<i64> = transaction.query_one(migrations::VERSION, &[]).await?.get(0);
    for (number, step) in migrations::after(version.unwrap_or(0), "TEXT COLLATE \"C\"")? {
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
        const AGAIN: [SqlState; 4] = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::DUPLICATE_TABLE,
            SqlState::UNIQUE_VIOLATION,
        ];
        match error.code() {
            Some(code) if *code == SqlState::UNIQUE_VIOLATION && !in_catalogue(&error) => Failure::Taken,
            Some(code) if AGAIN.contains(code) => Failure::Again(error.to_string()),
            Some(_) => Failure::Other(Error::internal("store: statement failed").because(error)),
            None => Failure::Other(Error::unavailable("store: connection lost").because(error)),
        }
    }
}

/// Two migrations at once collide in the server's own catalogue.
fn in_catalogue(error: &tokio_postgres::Error) -> bool {
    let detail = error.source().and_then(|source| source.downcast_ref::<tokio_postgres::error::DbError>());
    detail
        .and_then(|detail| detail.table())
        .is_some_and(|table| table.starts_with("pg_") || table == "migrations")
}

fn fatal(failure: Failure) -> Error {
    match failure {
        Failure::Other(error) => error,
        Failure::Again(message) => Error::unavailable(format!("store: busy: {message}")),
        Failure::Taken => Error::internal("store: a key is taken"),
    }
}

/// Prepares every statement of this crate on the server behind `url`.
#[cfg(test)]
pub(crate) async fn prepare_all(url: &str) {
    let store = Postgres::open(url).await.unwrap();
    let connection = store.connection().await.unwrap();
    for sql in crate::sql::ALL {
        connection.prepare(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}
