//! Cached SQL metadata of each cluster: its SQL users and its databases.
//!
//! The cluster itself contains the original. The cached copy is returned while the cluster is suspended or its
//! server does not respond. It is only written if something has changed. The secrets in it are salted hashes,
//! which are never shown either.

pub mod locks;
pub mod rows;
pub mod secrets;

pub use rows::{CachedMetadata, DatabaseMetadata, SqlMetadata};

use crate::{documents, lifecycle::Lifecycle};
use ootheca_engine::{Admin, Database};
use ootheca_model::{Cluster, ClusterId, Error, ErrorKind, Result, login::Login};
use ootheca_store::{Batch, Mutation};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::OwnedMutexGuard;

/// The maximum number of attempts if concurrent writes come first.
const ATTEMPTS: usize = 20;

impl SqlMetadata {
    fn see(&mut self, seen: &Seen) {
        match seen {
            Seen::Logins(logins) => self.logins.clone_from(logins),
            Seen::Databases(databases) => {
                let known: BTreeMap<String, Option<i64>> =
                    self.databases.drain(..).map(|noted| (noted.name, noted.tables)).collect();
                let note = |database: &Database| DatabaseMetadata {
                    name: database.name.clone(),
                    tables: database.tables.or_else(|| known.get(&database.name).copied().flatten()),
                };
                self.databases = databases.iter().map(note).collect();
            }
        }
    }
}

/// The result of a read.
pub enum Seen {
    /// All users.
    Logins(Vec<Login>),
    /// All databases. If tables were not counted, the earlier count is kept.
    Databases(Vec<Database>),
}

/// The part to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Users.
    Logins,
    /// Databases; their tables are not counted.
    Databases,
}

/// The cached metadata of a cluster.
pub async fn cached(lifecycle: &Lifecycle, cluster: ClusterId) -> Result<Option<Arc<CachedMetadata>>> {
    lifecycle.metadata_cache.find(&lifecycle.context, cluster).await
}

/// Reads one part and caches it.
pub async fn read_part(
    lifecycle: &Lifecycle,
    cluster: ClusterId,
    part: Part,
    admin: &mut dyn Admin,
) -> Result<()> {
    match part {
        Part::Logins => logins(lifecycle, cluster, admin).await.map(|_| ()),
        Part::Databases => {
            let _turn = lifecycle.metadata_locks.databases_turn(cluster).await;
            let seen = Seen::Databases(admin.databases().await?);
            write(lifecycle, cluster, &seen).await
        }
    }
}

/// Reads the SQL users and caches them.
pub async fn logins(lifecycle: &Lifecycle, cluster: ClusterId, admin: &mut dyn Admin) -> Result<Vec<Login>> {
    let _turn = lifecycle.metadata_locks.logins_turn(cluster).await;
    let logins = admin.logins().await?;
    write(lifecycle, cluster, &Seen::Logins(logins.clone())).await?;
    Ok(logins)
}

/// Reads everything, including the number of tables, and returns the new metadata without writing it.
pub async fn everything(
    lifecycle: &Lifecycle,
    cluster: &Cluster,
    admin: &mut dyn Admin,
) -> Result<SqlMetadata> {
    let mut metadata = match cached(lifecycle, cluster.id).await? {
        Some(stored) => stored.value.clone(),
        None => SqlMetadata::of(cluster),
    };
    metadata.see(&Seen::Logins(admin.logins().await?));
    let mut databases = admin.databases().await?;
    let names: Vec<String> = databases.iter().map(|database| database.name.clone()).collect();
    for (database, tables) in databases.iter_mut().zip(admin.count_tables(&names).await?) {
        database.tables = tables;
    }
    metadata.see(&Seen::Databases(databases));
    Ok(metadata)
}

/// Waits for reads that are in progress, and prevents further ones until the result is dropped.
pub async fn turns(lifecycle: &Lifecycle, cluster: ClusterId) -> [OwnedMutexGuard<()>; 2] {
    let locks = &lifecycle.metadata_locks;
    [locks.logins_turn(cluster).await, locks.databases_turn(cluster).await]
}

/// The changes that make `metadata` the cached metadata of its cluster. They must be in one batch with a
/// change of the cluster's row, so that a deleted cluster gets none.
pub async fn replace(lifecycle: &Lifecycle, metadata: &SqlMetadata) -> Result<Vec<Mutation>> {
    let before = cached(lifecycle, metadata.cluster).await?;
    rows::changes(before.as_deref(), metadata, lifecycle.context.now())
}

/// Writes the result of a read if it differs from the cached metadata. Nothing is written for a deleted
/// cluster.
pub async fn write(lifecycle: &Lifecycle, cluster: ClusterId, seen: &Seen) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let before = cached(lifecycle, cluster).await?;
        let mut batch = Batch::server("notes");
        let mut after = match &before {
            Some(before) => before.value.clone(),
            None => {
                let found =
                    documents::find::<Cluster>(&*lifecycle.context.store, &cluster.to_string()).await?;
                let Some(found) = found.filter(|found| found.value.is_active()) else { return Ok(()) };
                // If the cluster is deleted at the same time, nothing must be left behind.
                batch = batch.with(documents::touch(&found.row));
                SqlMetadata::of(&found.value)
            }
        };
        after.see(seen);
        let changes = rows::changes(before.as_deref(), &after, lifecycle.context.now())?;
        if changes.is_empty() {
            return Ok(());
        }
        let next = CachedMetadata::after(before.as_deref(), after, &changes);
        batch.mutations.extend(changes);
        match lifecycle.context.store.commit(batch, lifecycle.context.now()).await {
            Ok(_) => {
                if let Some(next) = next {
                    lifecycle.metadata_cache.insert(next);
                }
                return Ok(());
            }
            Err(error) if matches!(error.kind(), ErrorKind::Stale | ErrorKind::Exists) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::unavailable("too many concurrent changes of the cluster's SQL metadata"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ootheca_model::{ClusterId, OrganizationId};
    use uuid::Uuid;

    fn catalog() -> SqlMetadata {
        SqlMetadata {
            organization: OrganizationId(Uuid::from_u128(1)),
            cluster: ClusterId(Uuid::from_u128(2)),
            logins: Vec::new(),
            databases: Vec::new(),
        }
    }

    fn databases(list: &[(&str, Option<i64>)]) -> Seen {
        let database =
            |(name, tables): &(&str, Option<i64>)| Database { name: (*name).to_owned(), tables: *tables };
        Seen::Databases(list.iter().map(database).collect())
    }

    #[test]
    fn a_table_count_is_kept_until_the_next_one() {
        let mut notes = catalog();
        notes.see(&databases(&[("a", Some(3)), ("b", None)]));
        notes.see(&databases(&[("a", None), ("b", Some(1)), ("c", None)]));
        let counts: Vec<Option<i64>> = notes.databases.iter().map(|noted| noted.tables).collect();
        assert_eq!(counts, [Some(3), Some(1), None]);
        notes.see(&databases(&[("b", None)]));
        notes.see(&databases(&[("a", None), ("b", None)]));
        let counts: Vec<Option<i64>> = notes.databases.iter().map(|noted| noted.tables).collect();
        assert_eq!(counts, [None, Some(1)], "one that is gone takes its count along");
    }
}
