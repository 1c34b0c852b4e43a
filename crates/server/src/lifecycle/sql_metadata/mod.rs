//! Cached SQL metadata of each cluster: its SQL users and its databases.
//!
//! The cluster itself contains the original. The cached copy is returned while the cluster is suspended or its
//! server does not respond. It is a row that is written only if something has changed. The secrets in it are
//! salted hashes, which are never shown either.

pub mod locks;
pub mod secrets;

use crate::{
    documents::{self, Document, Stored},
    lifecycle::Lifecycle,
};
use ootheca_engine::{Admin, Database};
use ootheca_model::{
    Cluster, ClusterId, Error, ErrorKind, OrganizationId, Result, Timestamp,
    login::{Login, Secret},
};
use ootheca_store::{Batch, Kind, Mutation, Row};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// The maximum number of attempts if concurrent writes come first.
const ATTEMPTS: usize = 20;

/// The SQL metadata of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlMetadata {
    /// The organization.
    pub organization: OrganizationId,
    /// The cluster.
    pub cluster: ClusterId,
    /// SQL users, sorted byte by byte by name.
    pub logins: Vec<Login>,
    /// Databases, sorted byte by byte by name.
    pub databases: Vec<DatabaseMetadata>,
    /// When a difference was last found.
    pub taken_at: Timestamp,
}

/// A database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseMetadata {
    /// Name.
    pub name: String,
    /// The number of tables, when they were last counted.
    pub tables: Option<i64>,
}

impl Document for SqlMetadata {
    const KIND: Kind = Kind::SqlCatalog;
    const NAME: &'static str = "SQL metadata of a cluster";

    fn columns(&self) -> Row {
        let id = self.cluster.to_string();
        Row {
            parent: id.clone(),
            ..documents::row(Self::KIND, id, self.organization, String::new(), self.taken_at)
        }
    }
}

impl SqlMetadata {
    fn of(cluster: &Cluster, taken_at: Timestamp) -> Self {
        let (organization, cluster) = (cluster.organization, cluster.id);
        Self { organization, cluster, logins: Vec::new(), databases: Vec::new(), taken_at }
    }

    /// The verifier of a user's password.
    pub fn secret(&self, user: &str) -> Option<&Secret> {
        let found = self.logins.binary_search_by(|login| login.name.as_str().cmp(user)).ok()?;
        self.logins.get(found).map(|login| &login.secret)
    }

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
pub async fn cached(lifecycle: &Lifecycle, cluster: ClusterId) -> Result<Option<Arc<Stored<SqlMetadata>>>> {
    lifecycle.context.find::<SqlMetadata>(&cluster.to_string()).await
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
    let mut catalog = match cached(lifecycle, cluster.id).await? {
        Some(stored) => stored.value.clone(),
        None => SqlMetadata::of(cluster, lifecycle.context.now()),
    };
    catalog.see(&Seen::Logins(admin.logins().await?));
    let mut databases = admin.databases().await?;
    let names: Vec<String> = databases.iter().map(|database| database.name.clone()).collect();
    for (database, tables) in databases.iter_mut().zip(admin.count_tables(&names).await?) {
        database.tables = tables;
    }
    catalog.see(&Seen::Databases(databases));
    catalog.taken_at = lifecycle.context.now();
    Ok(catalog)
}

/// The change that makes `catalog` the cached metadata of its cluster. It must be in one batch with a change
/// of the cluster's row, so that a deleted cluster gets none.
pub async fn replace(lifecycle: &Lifecycle, catalog: &SqlMetadata) -> Result<Mutation> {
    match documents::find::<SqlMetadata>(&*lifecycle.context.store, &catalog.cluster.to_string()).await? {
        Some(before) => documents::update(&before.row, catalog),
        None => documents::insert(catalog),
    }
}

/// Writes the result of a read if it differs from the cached metadata. Nothing is written for a deleted
/// cluster.
pub async fn write(lifecycle: &Lifecycle, cluster: ClusterId, seen: &Seen) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let batch = match cached(lifecycle, cluster).await? {
            Some(before) => {
                let mut after = before.value.clone();
                after.see(seen);
                if after == before.value {
                    return Ok(());
                }
                after.taken_at = lifecycle.context.now();
                Batch::server("notes").with(documents::update(&before.row, &after)?)
            }
            None => {
                let found =
                    documents::find::<Cluster>(&*lifecycle.context.store, &cluster.to_string()).await?;
                let Some(found) = found.filter(|found| found.value.is_active()) else { return Ok(()) };
                let mut after = SqlMetadata::of(&found.value, lifecycle.context.now());
                after.see(seen);
                // If the cluster is deleted at the same time, nothing must be left behind.
                Batch::server("notes").with(documents::insert(&after)?).with(documents::touch(&found.row))
            }
        };
        match lifecycle.context.store.commit(batch, lifecycle.context.now()).await {
            Err(error) if matches!(error.kind(), ErrorKind::Stale | ErrorKind::Exists) => {}
            result => return result.map(|_| ()),
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
            taken_at: Timestamp(0),
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

    #[test]
    fn secrets_are_found_by_name_and_never_formatted() {
        let mut notes = catalog();
        let login =
            |name: &str| Login { name: name.to_owned(), secret: Secret::Scram(format!("hash of {name}")) };
        notes.see(&Seen::Logins(["A", "_", "a"].map(login).to_vec()));
        for name in ["A", "_", "a"] {
            assert_eq!(notes.secret(name), Some(&login(name).secret));
        }
        assert_eq!(notes.secret("b"), None);
        assert!(!format!("{notes:?}").contains("hash of"));
    }
}
