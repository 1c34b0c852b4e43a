//! The numbers of tables in databases.
//!
//! Counting needs a connection to each database. So a number is kept until something is written in its database,
//! which the server's counters show, including changes of catalogs. A session reports its changes at the latest when it
//! ends, so a database with sessions is always counted.

use super::{context::EngineContext, object::Name, server, statement_error::StatementError};
use futures_util::{StreamExt as _, stream};
use ootheca_model::{Error, Result, names, sql_name};
use parking_lot::Mutex;
use std::{collections::HashMap, path::Path, time::Duration};
use tokio::time::timeout;
use tokio_postgres::{Client, Row};

/// The time limit for one database.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The number of databases that are counted at the same time.
const AT_ONCE: usize = 4;

const COUNT: &str = "SELECT count(*) FROM pg_catalog.pg_class c \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

/// Before version 15, the counters are late. The start of the server is included because a crash resets them.
const STATE: &str = "SELECT d.oid, d.datname, \
    concat_ws(' ', pg_postmaster_start_time(), s.stats_reset, s.tup_inserted, s.tup_updated, s.tup_deleted), \
    current_setting('server_version_num')::int >= 150000 \
        AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid) \
    FROM pg_database d JOIN pg_stat_database s ON s.datid = d.oid \
    WHERE namesend(d.datname) = ANY ($1)";

/// The known numbers of an instance, by the oid of the database.
#[derive(Debug, Default)]
pub(super) struct TableCounts(Mutex<HashMap<u32, Known>>);

#[derive(Debug)]
struct Known {
    state: String,
    count: i64,
}

struct Database {
    oid: u32,
    name: Name,
    /// Differs after every change.
    state: String,
    /// Whether the state includes every change so far.
    is_quiet: bool,
}

impl TableCounts {
    /// The number of tables in each of the databases; `None` if it does not exist or cannot be counted.
    pub(super) async fn read(
        &self,
        context: &EngineContext,
        sockets: &Path,
        client: &Client,
        databases: &[String],
    ) -> Result<Vec<Option<i64>>> {
        let own = |name: &&String| !names::engine_database(name);
        let wanted: Vec<Vec<u8>> =
            databases.iter().filter(own).filter_map(|name| sql_name::parse(name)).collect();
        let rows = client.query(STATE, &[&wanted]).await;
        let rows = rows.map_err(|error| StatementError::from(error).other("count tables"))?;
        let found: Vec<Database> = rows.iter().filter_map(|row| database(row).ok()).collect();
        let counts: HashMap<Vec<u8>, Option<i64>> = stream::iter(found)
            .map(async |database| {
                let count = self.count(context, sockets, &database).await;
                (database.name.bytes().to_vec(), count)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let count = |name: &String| counts.get(&sql_name::parse(name)?).copied().flatten();
        Ok(databases.iter().map(count).collect())
    }

    async fn count(&self, context: &EngineContext, sockets: &Path, database: &Database) -> Option<i64> {
        if database.is_quiet
            && let Some(known) = self.0.lock().get(&database.oid)
            && known.state == database.state
        {
            return Some(known.count);
        }
        let counted = timeout(TIMEOUT, count(context, sockets, &database.name)).await;
        let counted = counted.unwrap_or_else(|_| Err(Error::unavailable("counting the tables timed out")));
        match counted {
            Ok(count) => {
                if database.is_quiet {
                    self.0.lock().insert(database.oid, Known { state: database.state.clone(), count });
                }
                Some(count)
            }
            Err(error) => {
                tracing::debug!(error = error.chain(), "could not count tables");
                None
            }
        }
    }
}

fn database(row: &Row) -> Result<Database, tokio_postgres::Error> {
    Ok(Database {
        oid: row.try_get(0)?,
        name: row.try_get(1)?,
        state: row.try_get(2)?,
        is_quiet: row.try_get(3)?,
    })
}

/// Counts in a session in the database. The owner may have revoked CONNECT from all roles.
async fn count(context: &EngineContext, sockets: &Path, name: &Name) -> Result<i64> {
    let mut inside = server::enter(context, sockets, name).await?;
    let rows =
        inside.simple(COUNT).await.map_err(|error| StatementError::from(error).other("count tables"))?;
    inside.close().await;
    let count = rows.into_iter().flatten().flatten().next();
    count
        .and_then(|count| count.parse().ok())
        .ok_or_else(|| Error::internal("the SQL server returned no number"))
}
